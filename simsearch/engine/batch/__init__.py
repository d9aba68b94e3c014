"""Queries that came at the same time, answered together."""
