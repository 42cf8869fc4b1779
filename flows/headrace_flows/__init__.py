"""How a pipeline runs: flows, their tasks, and what speaks to Prefect."""
