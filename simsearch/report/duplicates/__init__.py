"""Records of finding copies and of acting on them -> tables, pages and machine formats."""
