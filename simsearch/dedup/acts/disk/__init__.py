"""What an act does to the disk: facts of files, where they go, and steps that can be taken back."""
