"""Floor 2: the one commit, indexing, search and maintenance."""
