"""Commands that start with everything imported, while ``headrace up`` runs.

A process of ``headrace up`` imports Keras, MLflow, Prefect and Great Expectations once,
and waits at a socket in the home. A command asks it to fork. The fork has the command's
streams, folder, arguments and variables, and does what the command would have done. It
gets the command's signals, is killed when the command is, and gives it its exit code.
"""
