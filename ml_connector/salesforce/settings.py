"""What is needed to reach one Salesforce org."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator


class SalesforceSettings(BaseModel):
    """Address and credentials of one org; the app's run-as user is who the connector acts as."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    my_domain_url: str
    client_id: str
    client_secret: SecretStr
    api_version: str = "65.0"
    pubsub_endpoint: str = "api.pubsub.salesforce.com:7443"
    currency: str = ""
    """ISO code of a single-currency org; "" where records carry their own."""
    ca_pem: str = ""
    """Certificates of a private CA in PEM form, added to the system's."""

    @field_validator("my_domain_url")
    @classmethod
    def _is_https_origin(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError("must be an https address such as https://acme.my.salesforce.com")
        return f"https://{parts.netloc}"

    @field_validator("api_version")
    @classmethod
    def _is_version(cls, value: str) -> str:
        version = value.strip().lower().removeprefix("v")
        major, _, minor = version.partition(".")
        if not major.isdigit() or (minor or "0") != "0":
            raise ValueError('must be a REST version such as "65.0"')
        return f"{int(major)}.0"

    @field_validator("currency")
    @classmethod
    def _is_upper(cls, value: str) -> str:
        return value.strip().upper()
