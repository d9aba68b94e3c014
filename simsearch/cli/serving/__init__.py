"""Commands that serve until they are ended: pages for people, queries for programs."""
