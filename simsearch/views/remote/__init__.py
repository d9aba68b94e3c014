"""Views that a server holds: fed by id from the segments, and never the truth."""
