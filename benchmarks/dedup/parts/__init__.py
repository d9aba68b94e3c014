"""Parts of the copy detection case beside quality: thresholds, groups, and what it all costs."""
