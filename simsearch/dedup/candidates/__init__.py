"""Which pairs of pictures are worth a close look."""
