"""Folders of photos -> a committed index, in one overlapping run."""

from simsearch.engine.indexing.config import IndexingConfig
from simsearch.engine.indexing.run import index_folder

__all__ = ["IndexingConfig", "index_folder"]
