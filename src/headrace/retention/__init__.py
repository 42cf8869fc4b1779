"""What may go, and what must: ``gc``, ``forget``; and what moves: ``migrate``."""
