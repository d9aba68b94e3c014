"""Floor 5, `simsearch serve`: one index for programs, over HTTP."""
