"""What people do with a pipeline and its champion, besides running it."""
