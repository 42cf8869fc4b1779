"""What ``headrace up`` keeps alive on this machine, and how others find it.

A home's servers are found by `live`; `postgres` is a real database in the home;
`servers` says how each is started, `supervisor` keeps them running; `environment`
says what a flow process of a worker is given, and who may come in from outside.
"""
