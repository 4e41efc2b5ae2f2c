"""Block with the address and credentials of one Business Central company."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.business_central.settings import BusinessCentralSettings


class BusinessCentralCredentials(Block):
    """Address and credentials of one company, for service-to-service sign-in at Entra ID.

    Attributes:
        tenant_id: Entra tenant.
        client_id: Application (client) id of the app registration.
        client_secret: Secret of the app registration.
        environment: Name of the Business Central environment.
        company_id: Id of the company.
        company_name: Name of the company, when its id is not given.
        local_currency: ISO code of the company's own currency.
        base_url: Address of the API.
        authority: Address of the sign-in service, without the tenant.
        notification_url: Public address of the receiver.
        max_in_flight: Requests one worker keeps in flight.
        settle_seconds: How long a write without an answer may still take effect.
        ca_pem: Certificates of a private CA, trusted besides the system's.

    Example:
        Load the credentials and read the company:
        ```python
        from blocks import BusinessCentralCredentials

        credentials = BusinessCentralCredentials.load("BLOCK_NAME")
        company = credentials.get_client().company()
        ```
    """

    _block_type_name = "Business Central Credentials"
    _block_type_slug = "business-central-credentials"
    _documentation_url = "https://learn.microsoft.com/dynamics365/business-central/dev-itpro/administration/automation-apis-using-s2s-authentication"  # type: ignore[assignment]  # Prefect turns text into a URL

    tenant_id: str = Field(description="Id of the Entra tenant, a GUID.")
    client_id: str = Field(description="Application (client) id of the app registration, a GUID.")
    client_secret: SecretStr = Field(description="Secret of the app registration.")
    environment: str = Field(description="Name of the environment, such as Production.")
    company_id: str = Field(default="", description="Id of the company, a GUID.")
    company_name: str = Field(
        default="", description="Name of the company; used when no id is given."
    )
    local_currency: str = Field(
        description="ISO code of the company's own currency, which BC calls LCY."
    )
    base_url: str = Field(
        default="https://api.businesscentral.dynamics.com/v2.0",
        description="Address of the API, without tenant and environment.",
    )
    authority: str = Field(
        default="https://login.microsoftonline.com",
        description="Address of the sign-in service; the tenant is appended.",
    )
    notification_url: str = Field(
        default="",
        description="Public https address of the receiver; leave it empty to poll only.",
    )
    max_in_flight: int = Field(
        default=5,
        ge=1,
        le=5,
        description="Requests one worker keeps in flight; several workers share five.",
    )
    settle_seconds: int = Field(
        default=600,
        ge=1,
        description="Seconds after which a write whose answer was lost can no longer take effect.",
    )
    ca_pem: str = Field(
        default="",
        description="Certificates of a private CA in PEM form, trusted besides the system's.",
    )

    def get_settings(self) -> BusinessCentralSettings:
        """Return the fields as the core's settings."""
        return BusinessCentralSettings(
            tenant_id=self.tenant_id,
            client_id=self.client_id,
            client_secret=self.client_secret,
            environment=self.environment,
            company_id=self.company_id,
            company_name=self.company_name,
            local_currency=self.local_currency,
            base_url=self.base_url,
            authority=self.authority,
            notification_url=self.notification_url,
            max_in_flight=self.max_in_flight,
            settle_seconds=self.settle_seconds,
            ca_pem=self.ca_pem,
        )

    def get_client(self) -> BusinessCentralClient:
        """Return a new client of the company; it signs in with its first call."""
        return BusinessCentralClient(self.get_settings())
