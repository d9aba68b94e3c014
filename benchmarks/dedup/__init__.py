"""Copy detection: edited photos to be found again among their originals and other pictures."""
