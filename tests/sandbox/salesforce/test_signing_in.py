"""Tokens, sessions and who is signed in."""

import base64
from typing import Any
from urllib.parse import parse_qsl

import pytest

TOKEN = "/services/oauth2/token"


def test_credentials_in_the_body_give_the_documented_answer(org: Any) -> None:
    """The answer names token, instance and identity, and no lifetime or refresh token."""
    found = org.grant().json()
    assert set(found) == {
        *("access_token", "instance_url", "id", "token_type", "issued_at", "signature", "scope")
    }
    assert found["token_type"] == "Bearer"
    assert found["access_token"].startswith("00D") and found["access_token"][15] == "!"
    assert found["issued_at"].isdigit() and len(found["issued_at"]) == 13
    assert found["instance_url"] == org.url
    organization, user = found["id"].rsplit("/", 2)[1:]
    assert (organization[:3], user[:3], len(organization), len(user)) == ("00D", "005", 18, 18)


def test_credentials_in_the_authorization_header_are_taken(org: Any) -> None:
    """Basic authentication opens a session too."""
    answer = org.client.post(
        TOKEN,
        data={"grant_type": "client_credentials"},
        auth=("sandbox-client", "sandbox-secret"),
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"client_id": "other"}, "invalid_client_id"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
    ],
)
def test_wrong_credentials_are_refused_as_an_object(
    org: Any, fields: dict[str, str], error: str
) -> None:
    """A refusal of the token endpoint is a 400 object with the error named."""
    answer = org.grant(**fields)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["error_description"]


@pytest.mark.parametrize("host", ["login.salesforce.com", "test.salesforce.com"])
def test_the_shared_login_hosts_are_refused(org: Any, host: str) -> None:
    """Client credentials work on the org's own host only."""
    answer = org.client.post(
        TOKEN,
        data={
            "grant_type": "client_credentials",
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
        },
        headers={"host": host},
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("switch", "error"),
    [
        ({"run_as_user": False}, "invalid_grant"),
        ({"client_credentials_enabled": False}, "invalid_grant"),
        ({"user_frozen": True}, "invalid_grant"),
        ({"user_active": False}, "inactive_user"),
        ({"organization_active": False}, "inactive_org"),
        ({"app_approved": False}, "invalid_app_access"),
        ({"logins_per_hour": 0}, "rate_limit_exceeded"),
    ],
)
def test_an_app_that_is_not_set_up_is_refused(org: Any, switch: dict[str, Any], error: str) -> None:
    """Each mistake in the setup has its own error."""
    org.switch(**switch)
    answer = org.grant()
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_the_status_of_a_wrong_secret_can_be_401(org: Any) -> None:
    """Both statuses are reported, so a switch chooses."""
    org.switch(token_invalid_client_status=401)
    assert org.grant(client_secret="wrong").status_code == 401


def test_a_session_dies_of_idleness_and_lives_by_use(org: Any) -> None:
    """Each call starts the two hours anew."""
    for _ in range(3):
        org.move_clock(7000)
        assert org.call("GET", "/limits").status_code == 200
    org.move_clock(7201)
    assert org.refusal("GET", "/limits") == (401, "INVALID_SESSION_ID")


def test_a_new_token_leaves_the_old_one_alive(org: Any) -> None:
    """Asking again does not end earlier sessions."""
    org.grant()
    assert org.call("GET", "/limits").status_code == 200


def test_no_session_no_answer(org: Any) -> None:
    """A call without a token, or with a made-up one, is a 401."""
    org.token = "00D000000000001!nothing"
    assert org.refusal("GET", "/sobjects") == (401, "INVALID_SESSION_ID")
    assert org.client.get("/services/data/v65.0/sobjects").status_code == 401


def test_versions_need_no_session(org: Any) -> None:
    """The list of versions is open to all and names its releases."""
    versions = {found["version"]: found for found in org.client.get("/services/data/").json()}
    assert versions["65.0"] == {
        "label": "Winter '26",
        "url": "/services/data/v65.0",
        "version": "65.0",
    }


def test_retired_and_unknown_versions_are_refused(org: Any) -> None:
    """A retired version is gone; one to come is not found."""
    assert org.refusal("GET", "/services/data/v30.0/limits") == (410, "UNSUPPORTED_API_VERSION")
    assert org.refusal("GET", "/services/data/v99.0/limits") == (404, "NOT_FOUND")


def test_userinfo_and_identity_tell_who_is_signed_in(org: Any) -> None:
    """Both name the same user and organization."""
    info = org.call("GET", "/services/oauth2/userinfo").json()
    path = f"/id/{info['organization_id']}/{info['user_id']}"
    headers = {"authorization": f"OAuth {org.token}"}
    identity = org.client.get(path, headers=headers).json()
    assert identity["user_id"] == info["user_id"]
    assert info["preferred_username"] == identity["username"] == "integration@acme.example"


def test_introspection_tells_the_end_of_a_session(org: Any) -> None:
    """A live token is active until its expiry, a dead one is not."""
    basic = base64.b64encode(b"sandbox-client:sandbox-secret").decode()
    headers = {"authorization": f"Basic {basic}"}

    def introspect() -> Any:
        return org.client.post(
            "/services/oauth2/introspect", data={"token": org.token}, headers=headers
        ).json()

    found = introspect()
    assert found["active"] is True
    assert found["exp"] - found["iat"] == 7200
    revoked = org.client.post("/services/oauth2/revoke", data={"token": org.token})
    assert revoked.status_code == 200
    assert introspect() == {"active": False}


def test_every_answer_tells_the_usage(org: Any) -> None:
    """Refusals count and tell as well; the day's allocation is an end."""
    answer = org.call("GET", "/sobjects/Nope")
    assert answer.headers["sforce-limit-info"] == "api-usage=1/5000000"
    limits = org.call("GET", "/limits").json()
    assert limits["DailyApiRequests"] == {"Max": 5000000, "Remaining": 4999998}
    org.switch(daily_api_requests=2)
    assert org.refusal("GET", "/limits") == (403, "REQUEST_LIMIT_EXCEEDED")
    org.move_clock(25 * 3600)
    org.sign_in()
    assert org.call("GET", "/limits").status_code == 200


def test_an_address_longer_than_the_limit_is_refused(org: Any) -> None:
    """16,384 bytes of address and headers are the end."""
    soql = "SELECT Id FROM Account WHERE Name IN (" + ",".join(["'x'"] * 3000) + ")"  # noqa: S608
    assert org.call("GET", "/query", params={"q": soql}).status_code == 414


def test_the_answer_comes_in_the_format_asked_for(org: Any) -> None:
    """JSON unless the form or the Accept header says otherwise; refusals too."""
    form = org.grant(format="urlencoded")
    assert form.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert dict(parse_qsl(form.text))["token_type"] == "Bearer"
    xml = org.grant(format="xml")
    assert "<token_type>Bearer</token_type>" in xml.text
    refused = org.client.post(
        "/services/oauth2/token",
        data={"grant_type": "client_credentials", "client_id": "<x>", "client_secret": "y"},
        headers={"accept": "application/xml"},
    )
    assert refused.status_code == 400
    assert "<error>invalid_client_id</error>" in refused.text
    assert org.grant().json()["token_type"] == "Bearer"
