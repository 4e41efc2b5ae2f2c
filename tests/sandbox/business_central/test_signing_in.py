"""The identity platform, and what the service makes of tokens."""

import base64
import json
from typing import Any

import httpx
import msal
import pytest
import requests

SCOPE = "https://api.businesscentral.dynamics.com/.default"


def test_msal_unmodified(tenant: Any) -> None:
    """MSAL finds the tenant by discovery, gets a token, caches it, and it opens the service."""
    session = requests.Session()
    session.verify, session.trust_env = str(tenant.ca_file), False
    app = msal.ConfidentialClientApplication(
        tenant.line["client_id"],
        client_credential=tenant.line["client_secret"],
        authority=f"{tenant.line['url']}/{tenant.line['tenant_id']}",
        instance_discovery=False,
        http_client=session,
    )
    first = app.acquire_token_for_client([SCOPE])
    assert first["expires_in"] == 3599
    again = app.acquire_token_for_client([SCOPE])
    assert again["token_source"] == "cache"
    answer = tenant.call(
        "GET", f"{tenant.root}/companies", authorization=f"Bearer {again['access_token']}"
    )
    assert answer.json()["value"][0]["name"] == "CRONUS US"
    claims = first["access_token"].split(".")[1]
    content = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert content["roles"] == ["API.ReadWrite.All"]


@pytest.mark.parametrize(
    ("fields", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": "-"}, 401, "invalid_client", 7000218),
        ({"client_id": "11111111-1111-1111-1111-111111111111"}, 400, "unauthorized_client", 700016),
        ({"tenant": "acme.example"}, 400, "invalid_request", 90002),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "https://graph.microsoft.com/.default"}, 400, "invalid_resource", 500011),
        ({"scope": "https://api.businesscentral.dynamics.com/x"}, 400, "invalid_scope", 1002012),
        ({"scope": "-"}, 400, "invalid_request", 900144),
    ],
)
def test_refused_grants(
    tenant: Any, fields: dict[str, str], status: int, error: str, number: int
) -> None:
    """Each mistake in a grant has its own error."""
    answer = tenant.grant(**fields)
    content = answer.json()
    assert (answer.status_code, content["error"]) == (status, error)
    assert content["error_codes"] == [number]
    assert content["error_description"].startswith(f"AADSTS{number}:")


def test_basic_credentials(tenant: Any) -> None:
    """Client id and secret are taken from a Basic header too."""
    text = f"{tenant.line['client_id']}:{tenant.line['client_secret']}"
    answer = tenant.client.post(
        f"/{tenant.line['tenant_id']}/oauth2/v2.0/token",
        data={"grant_type": "client_credentials", "scope": SCOPE},
        headers={"authorization": "Basic " + base64.b64encode(text.encode()).decode()},
    )
    assert answer.status_code == 200


def test_tokens_end(tenant: Any) -> None:
    """A token dies with its hour, on an expired session, and for a forgotten registration."""
    assert tenant.call("GET", "customers").status_code == 200
    tenant.move_clock(3600)
    answer = tenant.call("GET", "customers")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "Authentication_InvalidCredentials"
    tenant.sign_in()
    assert tenant.call("GET", "customers").status_code == 200
    tenant.admin.post("/expire-sessions")
    assert tenant.call("GET", "customers").status_code == 401
    tenant.sign_in()
    tenant.switch(app_registered=False)
    assert tenant.call("GET", "customers").status_code == 401
    tenant.switch(app_registered=True, app_roles=[])
    tenant.sign_in()
    assert tenant.call("GET", "customers").status_code == 401


def test_missing_permission_is_400(tenant: Any) -> None:
    """A permission set that is missing in the company shows as 400, not 403."""
    tenant.switch(permission_missing=True)
    assert tenant.refusal("GET", "customers") == (400, "Internal_ServerError")


def test_wrong_places(tenant: Any) -> None:
    """A wrong environment, company, set or record each has its answer."""
    host = f"/v2.0/{tenant.line['tenant_id']}"
    assert tenant.refusal("GET", f"{host}/Nowhere/api/v2.0/companies")[0] == 404
    other = "11111111-1111-1111-1111-111111111111"
    assert tenant.refusal("GET", f"{tenant.root}/companies({other})/customers") == (
        404,
        "Internal_CompanyNotFound",
    )
    assert tenant.refusal("GET", "vendorz") == (404, "BadRequest_NotFound")
    assert tenant.refusal("GET", f"customers({other})") == (404, "BadRequest_ResourceNotFound")
    assert tenant.refusal("GET", "customers(12)") == (404, "BadRequest_NotFound")
    tenant.switch(unknown_record_code="Internal_RecordNotFound")
    assert tenant.refusal("GET", f"customers({other})") == (404, "Internal_RecordNotFound")


def test_other_ways_to_the_company(tenant: Any) -> None:
    """The company can be named by query, by header, and the tenant left out."""
    root = f"/v2.0/{tenant.line['environment']}/api/v2.0"
    assert tenant.values(f"{root}/customers?company={tenant.line['company_id']}&$top=1")
    assert tenant.values(f"{root}/customers?company=CRONUS%20US&$top=1")
    assert tenant.get(f"{root}/customers?$top=1", company="CRONUS US")["value"]
    environments = tenant.get("/environments/v1.2")["value"]
    assert environments[0]["name"] == tenant.line["environment"]


def test_self_description(tenant: Any) -> None:
    """The service names its sets, its types, and the captions of its enums."""
    sets = {entry["name"] for entry in tenant.get(tenant.root)["value"]}
    assert {"customers", "salesOrders", "generalLedgerEntries"} <= sets
    document = tenant.call("GET", f"{tenant.root}/$metadata")
    assert document.headers["content-type"].startswith("application/xml")
    assert 'Name="salesOrderLine"' in document.text
    assert tenant.values(f"{tenant.root}/entityDefinitions")
    runtime = tenant.company.replace("/v2.0/companies", "/microsoft/runtime/beta/companies")
    resources = tenant.values(f"{runtime}/webhookSupportedResources")
    assert {"resource": "v2.0/salesOrders"} in resources


def test_companies_are_read_only(tenant: Any) -> None:
    """No company can be made through the standard API."""
    assert tenant.refusal("POST", f"{tenant.root}/companies", {"name": "X"}) == (
        405,
        "BadRequest_MethodNotAllowed",
    )


def test_plain_connection_is_refused(tenant: Any) -> None:
    """The service speaks TLS only, with a certificate of its own authority."""
    with pytest.raises(httpx.ConnectError):
        httpx.get(tenant.line["url"], trust_env=False)
