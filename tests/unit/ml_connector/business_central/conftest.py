"""A BC that answers from a list, so that one rule of the client can be seen at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.business_central.pacing import Pace
from ml_connector.business_central.settings import BusinessCentralSettings

SECRET = "a-very-secret-client-secret"
TENANT = "11111111-2222-3333-4444-555555555555"
COMPANY = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
AUTHORITY = "https://login.example"
ROOT = f"https://bc.example/v2.0/{TENANT}/Production/api/v2.0"
SET = f"{ROOT}/companies({COMPANY})"


@dataclass
class Stopwatch:
    """Time that passes only by sleeping."""

    at: float = 1_000.0
    pauses: list[float] = field(default_factory=list)

    def now(self) -> float:
        """Return the time."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.at += seconds


@dataclass
class ScriptedTenant:
    """Answers sign-ins and the company list by itself, everything else with `answers`."""

    answers: list[Any] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    sign_ins: list[httpx.Request] = field(default_factory=list)
    sign_in_answers: list[Any] = field(default_factory=list)
    discovery: Any = None
    companies: Any = None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Take the next answer: an exception, or (status, content, headers)."""
        if request.url.host == "login.example":
            return self._sign_in(request)
        if request.url.path.endswith("/companies"):
            return self._respond(self.companies or (200, company_list(), {}))
        self.requests.append(request)
        return self._respond(self.answers.pop(0))

    def _sign_in(self, request: httpx.Request) -> httpx.Response:
        if "well-known" in request.url.path:
            base = f"{AUTHORITY}/{TENANT}"
            known = {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            }
            return self._respond(self.discovery or (200, known, {}))
        self.sign_ins.append(request)
        if self.sign_in_answers:
            return self._respond(self.sign_in_answers.pop(0))
        token = {
            "token_type": "Bearer",
            "expires_in": 3599,
            "access_token": f"token-{len(self.sign_ins)}",
        }
        return self._respond((200, token, {}))

    @staticmethod
    def _respond(answer: Any) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        status, content, headers = answer
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return httpx.Response(status, content=body, headers=headers)


def company_list() -> dict[str, Any]:
    """Return the environment's companies."""
    return {
        "value": [
            {"id": COMPANY.upper(), "name": "CRONUS US", "displayName": "Cronus, Inc."},
            {"id": "ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee", "name": "Other", "displayName": ""},
        ]
    }


@pytest.fixture
def settings() -> BusinessCentralSettings:
    """Settings of a company nobody runs."""
    return BusinessCentralSettings(
        tenant_id=TENANT,
        client_id="99999999-2222-3333-4444-555555555555",
        client_secret=SECRET,
        environment="Production",
        company_id=COMPANY,
        local_currency="USD",
        base_url="https://bc.example/v2.0",
        authority=AUTHORITY,
    )


@pytest.fixture
def tenant() -> ScriptedTenant:
    """The tenant behind `client`."""
    return ScriptedTenant()


@pytest.fixture
def client_of(
    tenant: ScriptedTenant,
) -> Callable[[BusinessCentralSettings], BusinessCentralClient]:
    """Build a client that talks to `tenant`."""

    def build(settings: BusinessCentralSettings) -> BusinessCentralClient:
        watch = tenant.stopwatch
        return BusinessCentralClient(
            settings,
            transport=httpx.MockTransport(tenant),
            pace=Pace(5, sleep=watch.sleep, now=watch.now),
        )

    return build


@pytest.fixture
def client(
    settings: BusinessCentralSettings,
    client_of: Callable[[BusinessCentralSettings], BusinessCentralClient],
) -> BusinessCentralClient:
    """A client whose tenant is `tenant`."""
    return client_of(settings)
