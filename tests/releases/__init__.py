"""What a release is made of, how it is tried, and the homes of former ones."""
