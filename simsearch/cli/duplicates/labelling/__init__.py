"""What simsearch dedup asks a person, and what it makes of the answers."""
