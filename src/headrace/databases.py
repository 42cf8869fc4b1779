"""The databases of a home, SQLite files."""

from pathlib import Path


def home_database(home: Path, name: str) -> str:
    """SQLAlchemy URL of a database in a home."""
    return f"sqlite:///{home.absolute()}/{name}.db"
