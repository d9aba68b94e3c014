"""The page on copies: look for them, decide group by group, see what would happen, do it, take it back."""
