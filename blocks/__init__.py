"""Prefect Blocks: credentials, database and connection; `prefect block register -m blocks`."""

from blocks.business_central_credentials import BusinessCentralCredentials
from blocks.connected_systems import Connection
from blocks.ledger_database import LedgerDatabase
from blocks.salesforce_credentials import SalesforceCredentials

__all__ = [
    "BusinessCentralCredentials",
    "Connection",
    "LedgerDatabase",
    "SalesforceCredentials",
]
