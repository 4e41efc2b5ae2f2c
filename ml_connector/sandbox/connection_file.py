"""The complete connection.toml of a running sandbox, with its secrets in files beside it."""

from pathlib import Path
from typing import Any

from ml_connector.sandbox.identities import NAME

SETTLE_SECONDS = 5


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner may read."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def write_connection_file(
    directory: Path,
    salesforce: dict[str, Any],
    business_central: dict[str, Any],
    *,
    single_currency: bool,
    name: str = NAME,
    notification_url: str = "",
) -> Path:
    """Write connection.toml and its two secret files; paths in it are relative to it."""
    write_private(directory / "salesforce.secret", salesforce["client_secret"])
    write_private(directory / "business_central.secret", business_central["client_secret"])
    lines = [
        f'name = "{name}"',
        "",
        "[salesforce]",
        f'my_domain_url = "{salesforce["url"]}"',
        f'client_id = "{salesforce["client_id"]}"',
        'client_secret = "file:salesforce.secret"',
        'api_version = "65.0"',
    ]
    if "pubsub_endpoint" in salesforce:
        lines.append(f'pubsub_endpoint = "{salesforce["pubsub_endpoint"]}"')
    if single_currency:
        lines.append(f'currency = "{salesforce["currency"]}"')
    notified = [f'notification_url = "{notification_url}"'] if notification_url else []
    lines += [
        'ca_file = "ca.pem"',
        "",
        "[business_central]",
        f'tenant_id = "{business_central["tenant_id"]}"',
        f'client_id = "{business_central["client_id"]}"',
        'client_secret = "file:business_central.secret"',
        f'environment = "{business_central["environment"]}"',
        f'company_id = "{business_central["company_id"]}"',
        f'local_currency = "{business_central["local_currency"]}"',
        f'base_url = "{business_central["url"]}/v2.0"',
        f'authority = "{business_central["authority"]}"',
        *notified,
        f"settle_seconds = {SETTLE_SECONDS}",
        'ca_file = "ca.pem"',
        "",
        "[ledger]",
        'url = "sqlite:///ledger.db"',
        "",
    ]
    path = directory / "connection.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
