"""Floor 1: vectors -> candidate ids; everything here can be rebuilt from the segments."""
