"""Data by name, pinned by digest."""
