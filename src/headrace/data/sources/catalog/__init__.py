"""Data sets with names, pinned by digest."""
