"""What a person decides about groups of copies; nothing here touches a file."""
