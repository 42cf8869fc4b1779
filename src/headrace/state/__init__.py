"""State on disk and in databases: the store, the ledger, leases, and MLflow."""
