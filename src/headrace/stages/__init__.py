"""The stages of a run, each a function of a spec and of records."""
