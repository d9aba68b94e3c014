"""Tests of finding copies: features, candidates, the close look, groups, leaks and two files side by side."""
