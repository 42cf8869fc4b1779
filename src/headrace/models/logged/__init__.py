"""Logged models: loading them, asking them, and whether they are still sound.

A version is sound if its model file and its golden file have the digests of the ledger,
and if the model, loaded in a clean process, gives the golden answers. Files are first
looked up at their usual paths, which does not need MLflow. MLflow is asked only if they
are not there.
"""
