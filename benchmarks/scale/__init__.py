"""From ten thousand to a billion pictures: what follows from the unit costs that were measured."""
