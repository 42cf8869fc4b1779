"""Damaged and hostile files for every reader, made from small good ones.

A few per reader run with the tests; for an hour of them: ``make fuzz``.
"""
