"""What simsearch query reads from its command line, and how it asks."""
