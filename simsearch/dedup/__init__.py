"""Floor 3: copies of one picture."""
