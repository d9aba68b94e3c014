"""What goes out of an index as plain files, and what comes in ready made."""
