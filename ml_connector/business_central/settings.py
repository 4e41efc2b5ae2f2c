"""What is needed to reach one company of one Business Central environment."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class BusinessCentralSettings(BaseModel):
    """Address and credentials of one company; the app user is who the connector acts as."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str
    client_id: str
    client_secret: SecretStr
    environment: str
    company_id: str = ""
    company_name: str = ""
    local_currency: str
    base_url: str = "https://api.businesscentral.dynamics.com/v2.0"
    authority: str = "https://login.microsoftonline.com"
    notification_url: str = ""
    max_in_flight: int = Field(default=5, ge=1, le=5)
    settle_seconds: int = Field(default=600, ge=1)
    """How long a write with unknown outcome may still be committed by BC."""
    ca_pem: str = ""
    """Certificates of a private CA in PEM form, added to the system's."""

    @field_validator("base_url", "authority")
    @classmethod
    def _is_https(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an https address")
        return value.strip().rstrip("/")

    @field_validator("company_id", "tenant_id")
    @classmethod
    def _is_lower(cls, value: str) -> str:
        return value.strip().lower()

    @field_validator("local_currency")
    @classmethod
    def _is_upper(cls, value: str) -> str:
        return value.strip().upper()
