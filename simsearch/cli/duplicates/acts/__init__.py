"""What simsearch dedup does with copies: makes a plan, and carries one out."""
