"""The search view that an index names: its record, how it is opened, and the newest snapshot that uses it."""
