"""Which places of a picture its vector comes from: the map under the global pooling, cut into shares."""
