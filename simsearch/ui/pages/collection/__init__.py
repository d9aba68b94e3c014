"""The page about the index itself."""
