"""Zip and tar files: their members, read one by one from where they lie."""
