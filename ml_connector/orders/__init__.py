"""Orders and sales orders."""
