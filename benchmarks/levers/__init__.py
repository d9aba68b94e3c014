"""What raises the quality of answers: inputs, poolings, vectors and re-ranking, set by set."""
