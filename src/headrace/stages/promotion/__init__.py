"""The promotion stage, and promotion and rollback by hand.

The ledger decides. MLflow's aliases are updated from it afterwards.
"""

from headrace.stages.promotion.aliases import (
    aliases_of,
    project_aliases,
    restore_registry,
)
from headrace.stages.promotion.by_hand import promote_by_hand, roll_back
from headrace.stages.promotion.ending import conclude, verdict

__all__ = [
    "aliases_of",
    "conclude",
    "project_aliases",
    "promote_by_hand",
    "restore_registry",
    "roll_back",
    "verdict",
]
