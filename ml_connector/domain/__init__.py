"""Values of the business without any I/O."""
