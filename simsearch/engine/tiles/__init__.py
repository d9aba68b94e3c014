"""Tiles of pictures, so that a crop finds the picture that it was cut from."""
