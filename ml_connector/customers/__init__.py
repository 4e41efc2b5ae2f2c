"""Accounts, Contacts and customers."""
