"""Acts on the user's files: plan, apply, undo, purge; nothing is deleted before `purge`."""
