"""What is kept of a picture to compare it with others: hashes, points and a small grey version."""
