"""Block that joins two systems, a ledger and a policy into one connection, loaded by its name."""

from __future__ import annotations

import secrets
from typing import Any

from prefect.blocks.core import Block
from pydantic import Field, SecretStr, ValidationError

from blocks.business_central_credentials import BusinessCentralCredentials
from blocks.ledger_database import LedgerDatabase
from blocks.salesforce_credentials import SalesforceCredentials
from ml_connector.configuration.settings import ConnectionSettings, Policies
from ml_connector.errors import ConfigurationError


class Connection(Block):
    """One Salesforce org and one Business Central company that are kept in agreement.

    Attributes:
        salesforce: Credentials of the org.
        business_central: Credentials of the company.
        ledger: Database of the connector.
        policy: The switches of the connection file's policy tables.
        organization_id: Id of the Salesforce org, found when the connection was made.
        notification_secret: What proves that a notification comes from our own subscription.

    Example:
        Load the connection and read its settings:
        ```python
        from blocks import Connection

        connection = Connection.load("BLOCK_NAME")
        settings = connection.get_settings("BLOCK_NAME")
        ```
    """

    _block_type_name = "Business Central to Salesforce Connection"
    _block_type_slug = "ml-connector-connection"
    _documentation_url = "https://docs.prefect.io/v3/concepts/blocks"  # type: ignore[assignment]  # Prefect turns text into a URL

    salesforce: SalesforceCredentials = Field(description="Credentials of the Salesforce org.")
    business_central: BusinessCentralCredentials = Field(
        description="Credentials of the Business Central company."
    )
    ledger: LedgerDatabase = Field(description="Database of the connector.")
    policy: dict[str, Any] = Field(
        default_factory=dict,
        description="Policy tables of the connection file; what is left out has its default.",
    )
    organization_id: str = Field(
        default="", description="Id of the Salesforce org, filled in by ml-connector connect."
    )
    notification_secret: SecretStr = Field(
        default_factory=lambda: SecretStr(secrets.token_urlsafe(32)),
        description="Random text that our notification subscriptions carry; filled in by itself.",
    )

    def get_settings(self, name: str) -> ConnectionSettings:
        """Return the settings of the connection saved under *name*.

        Raises: ConfigurationError when a saved value is no longer understood.
        """
        try:
            return ConnectionSettings(
                name=name,
                salesforce=self.salesforce.get_settings(),
                business_central=self.business_central.get_settings(),
                ledger_url=self.ledger.url,
                policy=Policies.model_validate(self.policy),
                notification_client_state=self.notification_secret,
            )
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ConfigurationError(
                f"The saved connection {name!r} has a value that is not understood:"
                f" {place}: {first['msg']}.",
                code="saved_connection",
                remedy="Run `ml-connector connect` with the connection file again.",
            ) from None


async def load_connection(name: str) -> ConnectionSettings:
    """Return the settings saved under *name*.

    Raises: ConfigurationError (code unknown_connection) when nothing is saved under that name.
    """
    return (await find_connection(name)).get_settings(name)


async def find_connection(name: str) -> Connection:
    """Return the block saved under *name*.

    Raises: ConfigurationError (code unknown_connection).
    """
    try:
        return await Connection.aload(name)
    except ValueError as error:
        raise ConfigurationError(
            f"No connection is saved under the name {name!r}.",
            code="unknown_connection",
            remedy="Run `ml-connector connect connection.toml` against this Prefect server first.",
        ) from error


async def save_connection(settings: ConnectionSettings, organization_id: str) -> None:
    """Save *settings* as blocks under the connection's name, replacing earlier ones.

    The secret of the notification subscriptions outlives a rotation of credentials.
    """
    name = settings.name
    salesforce = SalesforceCredentials(**settings.salesforce.model_dump())
    await salesforce.asave(name, overwrite=True)
    company = BusinessCentralCredentials(**settings.business_central.model_dump())
    await company.asave(name, overwrite=True)
    ledger = LedgerDatabase(url=SecretStr(settings.ledger_url_text()))
    await ledger.asave(name, overwrite=True)
    connection = Connection(
        salesforce=salesforce,
        business_central=company,
        ledger=ledger,
        policy=settings.policy.model_dump(mode="json"),
        organization_id=organization_id,
    )
    try:
        earlier: Connection = await Connection.aload(name)
    except ValueError:
        await connection.asave(name)
    else:
        connection.notification_secret = earlier.notification_secret
        await connection.asave(name, overwrite=True)
