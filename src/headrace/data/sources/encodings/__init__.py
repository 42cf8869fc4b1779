"""The encoding and the lines of text."""
