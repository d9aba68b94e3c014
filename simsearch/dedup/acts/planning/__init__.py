"""What a plan is made of: which copies may go, and what goes with each."""
