"""The ingredients of a training, recorded so that it can be reproduced.

The record is one artifact of the MLflow run, and a tag of the run has its sha256. It
has the sha256 of every other file that a repeat needs: the spec, the pipeline's own
code, the records of its data. So the tag verifies all that a repeat uses or imports.
"""

from headrace.stages.ingredients.files import FILE, TAG, Packed, Restored, restore
from headrace.stages.ingredients.parts import (
    Difference,
    Ingredients,
    differences,
    machine,
    training_roots,
)

__all__ = [
    "FILE",
    "TAG",
    "Difference",
    "Ingredients",
    "Packed",
    "Restored",
    "differences",
    "machine",
    "restore",
    "training_roots",
]
