"""Indexing on many machines: Ray reads, decodes and embeds shards of files, one driver commits them."""
