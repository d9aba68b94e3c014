"""What answers requests: the index that is served, asked in batches."""
