"""Quality of searches by centred vectors."""
