"""Buckets, web servers and archives as roots."""
