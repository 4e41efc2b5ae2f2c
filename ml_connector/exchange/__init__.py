"""The effects: read both systems, decide, write exactly once, record."""
