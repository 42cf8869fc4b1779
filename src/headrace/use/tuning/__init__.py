"""Searches the fields of a spec for the best values, trial by trial.

One process opens the data set once and has one MLflow run for each trial. The train
flow, with its gates, decides what becomes of the best values.
"""
