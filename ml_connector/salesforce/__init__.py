"""Salesforce as a peer: sign-in, REST calls, wire models and the fault table."""
