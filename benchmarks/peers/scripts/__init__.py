"""What runs in the peers' own environments; each script prints one line of JSON at its end."""
