"""Shards on disk: files that were read and embedded together, from their actor to the commit."""
