"""The digits that are trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .bench import ROOT, Unavailable
from .images import packaged

SHARED = ROOT.parent / "shared" / "data" / "images" / "mnist" / "mnist.npz"
TEST_ROWS = 1000


def find_data(given: Path | None, place: Path) -> tuple[Path, str]:
    """An npz in the layout of Keras's ``mnist.npz``, and what is to be known of it.

    Args:
        given: by the user; none: MNIST where it lies beside this repository, else the
            packaged 5,000 images, written to ``place``.
        place: a folder.

    Raises:
        Unavailable: there is no such file.
    """
    path = given or SHARED
    if path.is_file():
        return path.resolve(), ""
    if given:
        raise Unavailable(f"there is no file {given}")
    images, labels = packaged()
    order = np.random.default_rng(1).permutation(len(images))
    train, test = order[TEST_ROWS:], order[:TEST_ROWS]
    path = place / "sample.npz"
    np.savez(
        path,
        x_train=images[train],
        y_train=labels[train],
        x_test=images[test],
        y_test=labels[test],
    )
    return path, "the packaged sample, not MNIST: give mnist.npz with --data"
