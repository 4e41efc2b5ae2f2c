"""Who the sandbox's systems and people are: fixed names, and secrets drawn at each start."""

import secrets
import uuid
import zlib
from dataclasses import dataclass
from typing import Any

from ml_connector.sandbox.salesforce.ids import record_id

_SPACE = uuid.UUID("6d6c2d63-6f6e-4e65-9374-6f722d626f78")
ENVIRONMENT = "Production"
COMPANY_NAME = "CRONUS Distribution"
LOCAL_CURRENCY = "USD"
NAME = "sandbox"
"""What the connection of a sandbox is called when it is given no name."""


def fixed_uuid(*parts: object) -> str:
    """The same id for the same parts in every sandbox."""
    return str(uuid.uuid5(_SPACE, "/".join(str(part) for part in parts)))


@dataclass(frozen=True, slots=True)
class Identities:
    """What a client needs to know of both systems, apart from their addresses."""

    salesforce: dict[str, Any]
    business_central: dict[str, Any]


def make_identities(name: str = NAME) -> Identities:
    """Identities of a fresh sandbox; each name is another org, tenant and company."""
    apart = () if name == NAME else (name,)
    return Identities(
        salesforce={
            "organization_id": record_id("00D", zlib.crc32(name.encode()) if apart else 1),
            "client_id": "3MVG9" + secrets.token_urlsafe(40).replace("-", "a").replace("_", "b"),
            "client_secret": secrets.token_hex(32).upper(),
            "username": "integration@acme.example",
            "user_id": record_id("005", 1),
            "rep_user_id": record_id("005", 2),
            "currency": LOCAL_CURRENCY,
        },
        business_central={
            "tenant_id": fixed_uuid("tenant", *apart),
            "client_id": fixed_uuid("application", *apart),
            "client_secret": secrets.token_urlsafe(30),
            "environment": ENVIRONMENT,
            "company_id": fixed_uuid("company", *apart),
            "company_name": COMPANY_NAME,
            "local_currency": LOCAL_CURRENCY,
        },
    )
