"""Classification: one of several labels for an item.

A network gives a probability for each class; an answer is the likeliest one, and its
score is whether it is right. Targets are class indices, int32 ``(n,)``.
"""
