"""Both clients, set up for the running sandbox as `connection.toml` would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.salesforce.client import SalesforceClient
from ml_connector.salesforce.settings import SalesforceSettings


@pytest.fixture
def salesforce_settings(running_sandbox: Any) -> SalesforceSettings:
    """Settings of the sandbox's org."""
    org = running_sandbox.line["salesforce"]
    return SalesforceSettings(
        my_domain_url=org["url"],
        client_id=org["client_id"],
        client_secret=org["client_secret"],
        ca_pem=Path(running_sandbox.line["ca_file"]).read_text(),
    )


@pytest.fixture
def salesforce(salesforce_settings: SalesforceSettings) -> Iterator[SalesforceClient]:
    """A client of the sandbox's org."""
    with SalesforceClient(salesforce_settings) as client:
        yield client


@pytest.fixture
def business_central_settings(running_sandbox: Any) -> BusinessCentralSettings:
    """Settings of the sandbox's company."""
    company = running_sandbox.line["business_central"]
    return BusinessCentralSettings(
        tenant_id=company["tenant_id"],
        client_id=company["client_id"],
        client_secret=company["client_secret"],
        environment=company["environment"],
        company_id=company["company_id"],
        local_currency=company["local_currency"],
        base_url=company["base_url"],
        authority=company["authority"],
        ca_pem=Path(running_sandbox.line["ca_file"]).read_text(),
    )


@pytest.fixture
def business_central(
    business_central_settings: BusinessCentralSettings,
) -> Iterator[BusinessCentralClient]:
    """A client of the sandbox's company."""
    with BusinessCentralClient(business_central_settings) as client:
        yield client


@pytest.fixture
def admin(running_sandbox: Any) -> Callable[..., Any]:
    """Call a verb of the sandbox: `admin("salesforce/switches", name=value)`."""

    def call(verb: str, **body: Any) -> Any:
        answer = running_sandbox.admin.post(f"/{verb}", json=body)
        answer.raise_for_status()
        return answer.json()

    return call
