"""What photos show, in ImageNet's words: kept with an index, asked for, told of one photo."""
