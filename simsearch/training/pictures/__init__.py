"""Pictures of classes: found, parted, decoded, and changed at random."""
