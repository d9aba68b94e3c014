"""What is on a picture, in the words of ImageNet: the classifier that the embedding leaves off."""
