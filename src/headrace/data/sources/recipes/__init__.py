"""Recipes of recordings that are joined from the clips of another source."""


def is_recipe(uri: str) -> bool:
    """Whether a source is the file of a recipe."""
    return uri.lower().endswith(".toml")
