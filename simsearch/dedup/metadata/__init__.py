"""What programs and people have noted about a picture, read from it and merged into an XMP sidecar."""
