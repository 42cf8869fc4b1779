"""How an interrupted command answers."""

INTERRUPTED = 130
MESSAGE, ACTION = "Interrupted.", "Run the same command to go on."
