"""From decisions to acts on files: the summary, doing it, and taking it back."""
