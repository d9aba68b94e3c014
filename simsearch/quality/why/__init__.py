"""Why two pictures are alike: the regions that made their score."""
