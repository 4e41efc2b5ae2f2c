"""Blocks that an earlier version saved, read by this one from a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prefect.blocks.core import Block
from prefect.utilities.dispatch import get_registry_for_type
from pydantic import SecretStr

from blocks import BusinessCentralCredentials, Connection, LedgerDatabase, SalesforceCredentials
from blocks.connected_systems import load_connection

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("ignore:Type 'Earlier"),
]


@contextmanager
def _earlier_version() -> Iterator[None]:
    """Let classes of the same slugs stand in for ours, and take them away again."""
    registry = get_registry_for_type(Block)
    assert registry is not None
    ours = dict(registry)
    try:
        yield
    finally:
        registry.clear()
        registry.update(ours)


async def _save_as_an_earlier_version_did(name: str) -> None:
    class EarlierSalesforce(Block):
        _block_type_name = SalesforceCredentials._block_type_name
        _block_type_slug = SalesforceCredentials._block_type_slug
        my_domain_url: str
        client_id: str
        client_secret: SecretStr

    class EarlierCentral(Block):
        _block_type_name = BusinessCentralCredentials._block_type_name
        _block_type_slug = BusinessCentralCredentials._block_type_slug
        tenant_id: str
        client_id: str
        client_secret: SecretStr
        environment: str
        company_name: str
        local_currency: str

    class EarlierConnection(Block):
        _block_type_name = Connection._block_type_name
        _block_type_slug = Connection._block_type_slug
        salesforce: EarlierSalesforce
        business_central: EarlierCentral
        ledger: LedgerDatabase

    salesforce = EarlierSalesforce(
        my_domain_url="https://acme.my.salesforce.com",
        client_id="app",
        client_secret=SecretStr("first-secret"),
    )
    await salesforce.asave(name)
    central = EarlierCentral(
        tenant_id="11111111-1111-1111-1111-111111111111",
        client_id="app",
        client_secret=SecretStr("second-secret"),
        environment="Production",
        company_name="Acme",
        local_currency="USD",
    )
    await central.asave(name)
    ledger = LedgerDatabase(url=SecretStr("sqlite:////earlier/ledger.db"))
    await ledger.asave(name)
    saved = EarlierConnection(salesforce=salesforce, business_central=central, ledger=ledger)
    await saved.asave(name)


async def test_a_connection_an_earlier_version_saved_still_loads() -> None:
    """What that version did not know has its default; nobody has to connect again."""
    with _earlier_version():
        await _save_as_an_earlier_version_did("earlier")

    settings = await load_connection("earlier")

    assert settings.salesforce.client_secret.get_secret_value() == "first-secret"
    assert settings.salesforce.api_version == "65.0"
    assert settings.business_central.client_secret.get_secret_value() == "second-secret"
    assert settings.business_central.max_in_flight == 5
    assert settings.policy.orders.qualify == "activated"
