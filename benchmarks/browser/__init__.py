"""The pages in a real browser: how soon they answer, what they hold in memory, what they look like."""
