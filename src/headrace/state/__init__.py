"""What is kept: the store, the ledger, leases, and MLflow behind one door."""
