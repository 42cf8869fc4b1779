"""The processes that ``headrace up`` and ``headrace worker`` keep running.

`servers` describes how each server is started. `supervisor` starts them in order and
restarts those that end. `live` records their addresses for other commands.
`environment` decides which variables and logins a process gets. `gate` authenticates
requests to the servers.
"""
