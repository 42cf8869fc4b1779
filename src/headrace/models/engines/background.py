"""The process of `prepare_in_background`: builds the engine of one version."""

from __future__ import annotations

import logging
import sys

from headrace.errors import HeadraceError
from headrace.models.engines.building import build
from headrace.models.engines.exporting import Order
from headrace.state.temporary import own_temporary_folder


def main() -> None:
    """Build what the first line of standard input orders."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    log = logging.getLogger("headrace")
    log.setLevel(logging.INFO)
    order = Order.model_validate_json(sys.stdin.buffer.readline())
    with own_temporary_folder():
        try:
            build(order.version, order.opened)
        except HeadraceError as error:
            log.error("%s: no engine was built: %s", order.version, error)


if __name__ == "__main__":
    main()
