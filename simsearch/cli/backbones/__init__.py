"""Commands about models and their weights."""
