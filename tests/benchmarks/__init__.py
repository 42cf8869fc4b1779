"""What Headrace costs, measured beside a bare script: ``make bench``."""
