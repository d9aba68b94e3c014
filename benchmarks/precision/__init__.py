"""Whether a quicker arithmetic keeps the answers: recipes chosen on one set and judged on others."""
