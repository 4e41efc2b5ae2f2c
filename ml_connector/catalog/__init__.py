"""Products and items."""
