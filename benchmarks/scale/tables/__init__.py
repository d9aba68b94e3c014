"""What follows from the unit costs, as tables."""
