"""Figures of quality -> table, JSON and HTML."""
