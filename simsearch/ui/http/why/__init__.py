"""Why two pictures are alike, answered by address; a process of its own has the network."""
