"""The end of what was set aside: to the system's trash, or deleted."""
