"""``headrace score``."""

COMMANDS = ()
