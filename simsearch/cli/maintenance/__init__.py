"""Commands that look after an index."""
