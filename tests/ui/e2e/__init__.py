"""The pages as a person uses them: a real server, a real browser."""
