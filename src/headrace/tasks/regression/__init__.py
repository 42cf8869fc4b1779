"""Regression: a number for an item.

A network gives one number; its score is how far that is from the true one. Targets are
float32 ``(n,)``, outputs ``(n, 1)``, both in the unit of the data.
"""
