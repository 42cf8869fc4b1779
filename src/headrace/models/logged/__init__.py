"""Logged models: loading them, asking them, and whether they are still sound."""
