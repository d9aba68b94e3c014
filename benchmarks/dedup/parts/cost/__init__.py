"""What finding copies costs: a picture, a pair, candidates of many pictures, and the whole."""
