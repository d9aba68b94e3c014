"""Peers that turn a folder of photos into vectors or hashes: SCRIPT FOLDER [CHECKPOINT]."""
