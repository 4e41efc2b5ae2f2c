"""Settings of both systems: what is tidied, what is refused, what is never shown."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.salesforce.settings import SalesforceSettings

SALESFORCE: dict[str, Any] = {
    "my_domain_url": "https://acme.my.salesforce.com/",
    "client_id": "key",
    "client_secret": "s3cr3t",
}
BUSINESS_CENTRAL: dict[str, Any] = {
    "tenant_id": "AAAAAAAA-1111-2222-3333-444444444444",
    "client_id": "key",
    "client_secret": "s3cr3t",
    "environment": "Production",
    "company_id": " BBBBBBBB-1111-2222-3333-444444444444 ",
    "local_currency": "usd",
}


def test_addresses_ids_and_codes_are_tidied() -> None:
    """Trailing slashes go, ids are lower case, codes upper case, versions have one form."""
    salesforce = SalesforceSettings(**SALESFORCE, api_version="v65", currency="eur")
    central = BusinessCentralSettings(**BUSINESS_CENTRAL, base_url="https://bc.example/v2.0/")

    assert salesforce.my_domain_url == "https://acme.my.salesforce.com"
    assert (salesforce.api_version, salesforce.currency) == ("65.0", "EUR")
    assert central.tenant_id == "aaaaaaaa-1111-2222-3333-444444444444"
    assert central.company_id == "bbbbbbbb-1111-2222-3333-444444444444"
    assert (central.base_url, central.local_currency) == ("https://bc.example/v2.0", "USD")


@pytest.mark.parametrize(
    "change",
    [
        {"my_domain_url": "http://acme.my.salesforce.com"},
        {"my_domain_url": "acme.my.salesforce.com"},
        {"api_version": "latest"},
        {"api_version": "65.5"},
        {"instance": "x"},
    ],
)
def test_salesforce_settings_that_cannot_work_are_refused(change: dict[str, str]) -> None:
    """No plain http, no guessing of versions, no unknown keys."""
    with pytest.raises(ValidationError):
        SalesforceSettings(**SALESFORCE | change)


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "http://bc.example"},
        {"authority": "https://login.example/?x=1"},
        {"max_in_flight": 6},
        {"max_in_flight": 0},
        {"settle_seconds": 0},
        {"company": "x"},
    ],
)
def test_business_central_settings_that_cannot_work_are_refused(change: dict[str, Any]) -> None:
    """No plain http, never more than the five places BC gives."""
    with pytest.raises(ValidationError):
        BusinessCentralSettings(**BUSINESS_CENTRAL | change)


def test_secrets_are_not_shown() -> None:
    """Settings may end up in a log."""
    assert "s3cr3t" not in repr(SalesforceSettings(**SALESFORCE))
    assert "s3cr3t" not in str(BusinessCentralSettings(**BUSINESS_CENTRAL))
