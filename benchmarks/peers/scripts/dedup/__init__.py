"""A script a program that finds copies: every query with the originals it scores best."""
