"""The pages that hold measurements: their texts, and what writes them from the results."""
