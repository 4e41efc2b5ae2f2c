"""The connection file and what it says."""
