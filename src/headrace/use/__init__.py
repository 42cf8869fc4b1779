"""What people do with a pipeline and its champion, beside running it."""
