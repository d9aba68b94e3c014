"""Floor 1: file -> upright uint8 pixels and facts."""
