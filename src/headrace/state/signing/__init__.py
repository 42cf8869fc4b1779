"""Signatures: the keys that make and check them, and signed statements on files.

A signature is ECDSA over P-256 with SHA-256. The ledger signs each link of its chain;
files are signed in the format of OpenSSF Model Signing, which other tools can check.
"""
