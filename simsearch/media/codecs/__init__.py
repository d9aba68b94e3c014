"""Decoders beside Pillow's own, one library a module."""
