"""Data: read from sources, decoded, and kept as snapshots."""
