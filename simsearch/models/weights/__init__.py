"""Weights on this machine: files, downloads, checkpoints of many layouts, and what a person imported."""
