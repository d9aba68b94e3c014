"""What a run need not look into again."""
