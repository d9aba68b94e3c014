"""What every server here needs: addresses of this machine, bodies taken in, pictures decoded elsewhere."""
