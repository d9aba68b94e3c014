"""docs/benchmarks.md: its text, and what writes it from the results."""
