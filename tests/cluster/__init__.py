"""Indexing by Ray: shards on disk, the driver alone, and a real cluster."""
