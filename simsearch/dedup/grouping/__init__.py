"""Verified pairs become groups: which files count, which one stays, who belongs to whom."""
