"""simsearch: point it at a folder of photos, and it finds what looks alike.

    from simsearch import find_similar, index_folder

    index_folder("photos", "indexes/photos")
    for result in find_similar("dog.jpg", "indexes/photos", k=10):
        for hit in result.hits:
            print(f"{hit.score:.3f} {hit.path}")

Names are loaded when first used (PEP 562), so that `import simsearch` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simsearch.dedup.find import find_duplicates
    from simsearch.dedup.leaks import find_leaks
    from simsearch.dedup.records import DuplicateGroup
    from simsearch.engine.index import Index
    from simsearch.engine.indexing import index_folder
    from simsearch.engine.search import find_similar
    from simsearch.errors import SimsearchError
    from simsearch.models.embedder import Embedder
    from simsearch.models.registry import list_backbones
    from simsearch.records import Hit

__version__ = "0.1.0"

_HOMES = {
    "DuplicateGroup": "simsearch.dedup.records",
    "Embedder": "simsearch.models.embedder",
    "Hit": "simsearch.records",
    "Index": "simsearch.engine.index",
    "SimsearchError": "simsearch.errors",
    "find_duplicates": "simsearch.dedup.find",
    "find_leaks": "simsearch.dedup.leaks",
    "find_similar": "simsearch.engine.search",
    "index_folder": "simsearch.engine.indexing",
    "list_backbones": "simsearch.models.registry",
}

__all__ = [
    "DuplicateGroup",
    "Embedder",
    "Hit",
    "Index",
    "SimsearchError",
    "__version__",
    "find_duplicates",
    "find_leaks",
    "find_similar",
    "index_folder",
    "list_backbones",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
