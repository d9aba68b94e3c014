"""Why two pictures are alike -> lines, JSON, a picture and an HTML page."""
