"""Sample photos and measurements; not part of the installed package."""
