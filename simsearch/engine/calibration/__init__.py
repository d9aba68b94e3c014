"""The photos of a user's own that a new arithmetic is fitted to."""
