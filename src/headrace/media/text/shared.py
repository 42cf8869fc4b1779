"""The lines of texts, to find texts that are partly in others.

A poem may be in two collections with other titles, or quote half of another; near
copies of whole texts (`near`) are none of these.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import numpy as np

from headrace.media.forms import Passages
from headrace.media.text.characters import SCRIPTS, characters_of
from headrace.media.text.texts import Texts, as_column

_HAN = SCRIPTS.index("han")
_ENDS = re.compile(r"[\n.;:!?，。；：！？、]+")
# Shorter lines, such as greetings and names, recur without being copied.
_LEAST, _LEAST_HAN = 20, 5  # characters


def passages(payload: Texts) -> Passages:
    """The lines of texts ``(n, bytes)``, by line breaks and the ends of sentences."""
    column = as_column(payload)
    characters = characters_of(column)
    han = characters.count(characters.scripts == _HAN)
    is_han = (2 * han > np.diff(characters.bounds)).tolist()
    keys, sizes, rows = [], [], []
    whole = np.zeros(len(payload), np.int64)
    for row, text in enumerate(column.to_pylist()):
        least = _LEAST_HAN if is_han[row] else _LEAST
        lines = [stripped for line in _ENDS.split(text) if (stripped := line.strip())]
        whole[row] = sum(map(len, lines))
        for line in lines:
            if len(line) >= least:
                digest = blake2b(line.casefold().encode(), digest_size=8).digest()
                keys.append(int.from_bytes(digest, "little"))
                sizes.append(len(line))
                rows.append(row)
    return Passages(
        np.array(keys, np.uint64),
        np.array(sizes, np.int64),
        np.array(rows, np.int64),
        whole,
    )
