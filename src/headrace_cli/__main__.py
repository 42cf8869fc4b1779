"""Run the command line, as ``python -m headrace_cli``."""

from headrace_cli.start import main

main()
