"""How a pipeline runs: flows and the command line. The only code with Prefect."""
