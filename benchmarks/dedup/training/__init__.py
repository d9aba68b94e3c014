"""Trains the classifier that simsearch comes with."""
