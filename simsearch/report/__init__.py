"""Floor 4: records -> terminal tables, machine formats, HTML."""
