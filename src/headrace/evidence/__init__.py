"""Whether everything still fits the ledger, and what proves it to others."""
