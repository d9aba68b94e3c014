"""How quick indexing is: against the machine's limits and peers, when nothing changed, and in memory."""
