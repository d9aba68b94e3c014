"""Other programs, each installed into an environment of its own and run there by a small script."""
