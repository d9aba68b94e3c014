"""Floor 1: records and vectors on disk (format 1, see docs/format.md)."""
