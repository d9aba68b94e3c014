"""What simsearch query does for each of its queries."""
