"""Floor 3, on media and models: a backbone taught the classes of one's own pictures."""
