"""Who is let in, how often, and with how much."""
