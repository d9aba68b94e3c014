"""Folders of photos -> a committed index, in one overlapping run."""

from simsearch.engine.indexing.run import IndexingConfig, index_folder

__all__ = ["IndexingConfig", "index_folder"]
