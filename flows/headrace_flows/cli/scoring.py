"""``headrace score``."""
COMMANDS = ()
