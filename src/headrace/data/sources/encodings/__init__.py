"""Text from bytes: its encoding and its lines."""
