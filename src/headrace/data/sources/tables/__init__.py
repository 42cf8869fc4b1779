"""Tables of any format, and which of their columns mean what."""
