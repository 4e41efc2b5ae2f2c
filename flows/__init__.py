"""The business processes, one per file, as Prefect flows."""
