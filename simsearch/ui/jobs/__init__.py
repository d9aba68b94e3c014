"""Long work beside the server: each job is a child process, which all sessions see."""
