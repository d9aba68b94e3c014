"""Looking after an index: its view, its checks, its size, and what goes in and out of it."""
