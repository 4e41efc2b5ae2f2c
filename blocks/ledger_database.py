"""Block with the address of the connector's own database."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from ml_connector.ledger.ledger import Ledger


class LedgerDatabase(Block):
    """Address of the database that holds links, write intents and the audit trail.

    Attributes:
        url: SQLAlchemy address; secret because it may hold a password.

    Example:
        Load the address and open the ledger:
        ```python
        from blocks import LedgerDatabase

        database = LedgerDatabase.load("BLOCK_NAME")
        ledger = database.get_ledger()
        ```
    """

    _block_type_name = "Ledger Database"
    _block_type_slug = "ledger-database"
    _documentation_url = "https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls"  # type: ignore[assignment]  # Prefect turns text into a URL

    url: SecretStr = Field(
        description="Database address: sqlite:///absolute/path or postgresql+psycopg://user:password@host/name."
    )

    def get_ledger(self) -> Ledger:
        """Open the ledger, creating or migrating its tables when needed."""
        return Ledger.open(self.url.get_secret_value())
