"""Effects on one system each, as Prefect tasks, one file per business area."""
