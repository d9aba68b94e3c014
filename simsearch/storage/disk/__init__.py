"""The disk itself: writes that last, reads that are planned."""
