"""What people are shown of a threshold: the curve behind it, and the pairs that they are asked about."""
