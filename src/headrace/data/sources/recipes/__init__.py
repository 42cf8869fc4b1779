"""Recipes of recordings that are joined from the clips of another source."""
