"""Networks written out to be read, which take the published weights as they are."""
