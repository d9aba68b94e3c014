"""The decoding processes, seen from their parent."""
