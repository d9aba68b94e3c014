"""What the server answers besides the pages: thumbnails, pictures, uploads."""
