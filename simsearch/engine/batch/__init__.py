"""Queries that came at the same time, answered together, and what that needs of the database."""
