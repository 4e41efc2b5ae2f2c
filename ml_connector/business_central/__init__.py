"""Business Central as a peer: sign-in, OData calls, wire models and the fault table."""
