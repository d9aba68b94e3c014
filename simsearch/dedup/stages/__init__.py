"""Steps that finding copies, leaks and comparing two files have in common."""
