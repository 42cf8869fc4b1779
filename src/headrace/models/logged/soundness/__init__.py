"""Whether a registered version is still what was proved, and its copy in the store.

A version is sound if its model file and its golden file have the digests of the ledger
and a clean process that loads the one answers as the other says. Files are looked for
where Headrace has MLflow keep them, which needs no MLflow; MLflow is asked only where
they are not there.
"""
