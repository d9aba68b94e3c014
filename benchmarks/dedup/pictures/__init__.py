"""What pictures of the task are made of: steps by kind, and pictures that only look alike."""
