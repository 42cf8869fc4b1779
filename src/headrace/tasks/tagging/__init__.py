"""Tagging: any number of tags for an item.

A network gives a probability for each tag, and the saved model a threshold beside each:
outputs are ``(n, 2 * tags)``. What reaches its threshold is answered. Targets are 1 for
the tags of an item and 0 for all others, float32 ``(n, tags)``.
"""
