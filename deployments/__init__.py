"""What prefect.yaml cannot say: the work pool, and deployments made from code."""
