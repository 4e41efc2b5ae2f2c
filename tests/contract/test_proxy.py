"""Both clients reach the vendors' own addresses through the proxy that the environment names."""

from __future__ import annotations

from typing import Any

import pytest

from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.salesforce.client import SalesforceClient
from ml_connector.salesforce.settings import SalesforceSettings


@pytest.fixture(autouse=True)
def _proxy(running_sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the environment to the sandbox's CONNECT proxy."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, running_sandbox.line["proxy_url"])
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_salesforce_is_reached_under_its_own_name(salesforce_settings: SalesforceSettings) -> None:
    """The certificate is checked for the org's name, not the proxy's."""
    settings = salesforce_settings.model_copy(
        update={"my_domain_url": "https://acme.my.salesforce.com"}
    )

    with SalesforceClient(settings) as client:
        assert client.limits()
        assert client.instance_url == "https://acme.my.salesforce.com"


def test_business_central_is_reached_under_its_own_name(
    business_central_settings: BusinessCentralSettings,
) -> None:
    """With the default addresses of BC and of Microsoft Entra."""
    settings = business_central_settings.model_copy(
        update={
            "base_url": BusinessCentralSettings.model_fields["base_url"].default,
            "authority": BusinessCentralSettings.model_fields["authority"].default,
        }
    )

    with BusinessCentralClient(settings) as client:
        assert client.company().name
        assert len(list(client.pages("items", page_size=10))) > 1
