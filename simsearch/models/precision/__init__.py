"""Arithmetic other than float32: ranges from a sample of photos, and the graph of 8-bit convolutions."""
