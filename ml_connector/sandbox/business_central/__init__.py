"""The Business Central company of the sandbox."""
