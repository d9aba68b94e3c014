"""The small language of conditions: text -> tree -> SQL with bound values."""
