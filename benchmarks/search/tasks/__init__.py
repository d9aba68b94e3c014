"""Measurements of a collection; each function runs in a process of its own and returns figures as JSON."""
