"""Scripts that measure other search engines; each runs with the Python of its engine's environment."""
