"""simsearch eval: how good the answers are."""
