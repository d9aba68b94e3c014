"""What a query can say beyond one picture: which photos count, several examples, a region, variety."""
