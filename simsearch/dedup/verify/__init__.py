"""Whether two pictures are one: points matched, pixels aligned, numbers weighed."""
