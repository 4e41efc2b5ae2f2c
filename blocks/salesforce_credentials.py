"""Block with the address and credentials of one Salesforce org."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from ml_connector.salesforce.client import SalesforceClient
from ml_connector.salesforce.settings import SalesforceSettings


class SalesforceCredentials(Block):
    """Address and credentials of one Salesforce org, for the client-credentials sign-in.

    Attributes:
        my_domain_url: Address of the org's My Domain.
        client_id: Consumer key of the connected app.
        client_secret: Consumer secret of the connected app.
        api_version: REST API version.
        pubsub_endpoint: Host and port of the Pub/Sub API.
        currency: ISO code of a single-currency org.
        ca_pem: Certificates of a private CA, trusted besides the system's.

    Example:
        Load the credentials and sign in:
        ```python
        from blocks import SalesforceCredentials

        credentials = SalesforceCredentials.load("BLOCK_NAME")
        client = credentials.get_client()
        ```
    """

    _block_type_name = "Salesforce Credentials"
    _block_type_slug = "salesforce-credentials"
    _documentation_url = "https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_client_credentials_flow.htm"  # type: ignore[assignment]  # Prefect turns text into a URL

    my_domain_url: str = Field(
        description="Address of the org's My Domain, such as https://acme.my.salesforce.com."
    )
    client_id: str = Field(description="Consumer key of the connected app.")
    client_secret: SecretStr = Field(description="Consumer secret of the connected app.")
    api_version: str = Field(default="65.0", description="REST API version, such as 65.0.")
    pubsub_endpoint: str = Field(
        default="api.pubsub.salesforce.com:7443",
        description="Host and port of the Pub/Sub API that change events come from.",
    )
    currency: str = Field(
        default="",
        description="ISO code of the org's currency; needed only when the org has a single one.",
    )
    ca_pem: str = Field(
        default="",
        description="Certificates of a private CA in PEM form, trusted besides the system's.",
    )

    def get_settings(self) -> SalesforceSettings:
        """Return the fields as the core's settings."""
        return SalesforceSettings(
            my_domain_url=self.my_domain_url,
            client_id=self.client_id,
            client_secret=self.client_secret,
            api_version=self.api_version,
            pubsub_endpoint=self.pubsub_endpoint,
            currency=self.currency,
            ca_pem=self.ca_pem,
        )

    def get_client(self) -> SalesforceClient:
        """Return a new client of the org; it signs in with its first call."""
        return SalesforceClient(self.get_settings())
