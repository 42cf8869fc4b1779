"""The log of what servers were asked: its columns, its parts in the store, reading.

The parts are Parquet files ``requests/<model>/<YYYY-MM-DD>/<HH>/<unique>.parquet``, by
UTC. Each is written whole or not at all, under a name of its own, and never changed.
So any number of servers write, read and delete parts without a lock.
"""
