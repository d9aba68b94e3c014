"""Where copies begin in a collection, worked out on its own pictures and on what people said of them."""
