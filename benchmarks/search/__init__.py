"""Measures search: the view and the whole product against exact search and other engines."""
