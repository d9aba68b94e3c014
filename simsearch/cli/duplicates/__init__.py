"""The commands that find copies and act on them, a module each."""
