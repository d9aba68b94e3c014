"""The error of a query that cannot be understood or has no meaning."""

from __future__ import annotations

from simsearch.errors import SimsearchError


class QueryInvalid(SimsearchError):
    """A filter, a region, a weight or a number of a query is not what it has to be."""
