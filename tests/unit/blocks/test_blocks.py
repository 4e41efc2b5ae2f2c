"""The blocks meet Prefect's standard suite and become the core's settings."""

from __future__ import annotations

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr

from blocks import (
    BusinessCentralCredentials,
    Connection,
    LedgerDatabase,
    SalesforceCredentials,
)
from ml_connector.errors import ConfigurationError

ALL = (SalesforceCredentials, BusinessCentralCredentials, LedgerDatabase, Connection)


@pytest.mark.parametrize("block", ALL)
class TestStandardSuite(BlockStandardTestSuite):
    """Every block is described, documented and shows how it is loaded."""

    @pytest.fixture
    def block(self, block: type[Block]) -> type[Block]:
        """Take the block from the parameters."""
        return block


def _connection(**changes: object) -> Connection:
    salesforce = SalesforceCredentials(
        my_domain_url="https://acme.my.salesforce.com",
        client_id="app",
        client_secret=SecretStr("salesforce-secret"),
    )
    company = BusinessCentralCredentials(
        tenant_id="11111111-1111-1111-1111-111111111111",
        client_id="app",
        client_secret=SecretStr("bc-secret"),
        environment="Production",
        company_name="Acme",
        local_currency="USD",
    )
    ledger = LedgerDatabase(url=SecretStr("postgresql+psycopg://user:ledger-secret@host/db"))
    values: dict[str, object] = {
        "salesforce": salesforce,
        "business_central": company,
        "ledger": ledger,
        **changes,
    }
    return Connection(**values)


@pytest.mark.parametrize("block", ALL)
def test_descriptions_hold_no_angle_brackets(block: type[Block]) -> None:
    """The UI shows descriptions as HTML, where words in angle brackets vanish."""
    texts = [field.description or "" for field in block.model_fields.values()]

    assert not [text for text in texts if "<" in text or ">" in text]


def test_a_connection_becomes_settings() -> None:
    """The core gets name, credentials, ledger and policy in one value."""
    settings = _connection().get_settings("acme")

    assert settings.name == "acme"
    assert settings.salesforce.client_secret.get_secret_value() == "salesforce-secret"
    assert settings.ledger_url_text() == "postgresql+psycopg://user:ledger-secret@host/db"


def test_no_secret_is_in_the_text_of_a_connection() -> None:
    """Printing or logging a block tells none of its secrets."""
    connection = _connection()

    text = f"{connection!r} {connection}"

    assert "-secret" not in text
    assert connection.notification_secret.get_secret_value() not in text


def test_a_saved_policy_that_is_not_understood_names_its_place() -> None:
    """An old or hand-made policy is one clear message, not a stack of the validator."""
    connection = _connection(policy={"orders": {"qualifies": "activated"}})

    with pytest.raises(ConfigurationError, match=r"orders\.qualifies") as caught:
        connection.get_settings("acme")

    assert caught.value.code == "saved_connection"


def test_each_connection_gets_its_own_notification_secret() -> None:
    """What proves our notifications is random and long."""
    first, second = _connection(), _connection()

    assert len(first.notification_secret.get_secret_value()) >= 32
    assert first.notification_secret != second.notification_secret
