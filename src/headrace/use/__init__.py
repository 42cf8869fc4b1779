"""What people do with a model, besides running and serving it."""
