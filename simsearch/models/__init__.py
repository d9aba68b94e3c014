"""Floor 1: pixels -> unit vectors."""
