"""Crops that find the photo they were cut from, with and without tiles."""
