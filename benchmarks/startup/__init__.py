"""How soon a cold process answers."""
