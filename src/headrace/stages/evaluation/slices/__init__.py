"""Weak slices: rows on which a model is worse, found without being told where.

`conditions` are what slices are made of, over the medium's columns and the groups.
`search` finds slices on the rows of val, and confirms them on those of test.
"""
