"""An org that answers from a list, so that one rule of the client can be seen at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from ml_connector.salesforce.client import SalesforceClient
from ml_connector.salesforce.settings import SalesforceSettings

SECRET = "a-very-secret-consumer-secret"
TOKEN = "00D000000000001!first"


@dataclass
class ScriptedOrg(BaseAdapter):
    """Answers sign-ins by itself and everything else with `answers`, in order."""

    answers: list[Any] = field(default_factory=list)
    requests: list[PreparedRequest] = field(default_factory=list)
    sign_ins: list[PreparedRequest] = field(default_factory=list)
    sign_in_answers: list[Any] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def send(self, request: PreparedRequest, **_options: Any) -> Response:  # type: ignore[override]  # a double takes what it is given
        """Take the next answer: an exception, or (status, content, headers)."""
        if str(request.url).endswith("/services/oauth2/token"):
            self.sign_ins.append(request)
            if self.sign_in_answers:
                return self._respond(request, self.sign_in_answers.pop(0))
            return self._respond(request, (200, signed_in(len(self.sign_ins)), {}))
        self.requests.append(request)
        return self._respond(request, self.answers.pop(0))

    def close(self) -> None:
        """Nothing is open."""

    @staticmethod
    def _respond(request: PreparedRequest, answer: Any) -> Response:
        if isinstance(answer, Exception):
            raise answer
        status, content, headers = answer
        response = Response()
        response.status_code = status
        response.request = request
        response.url = str(request.url)
        response.headers = CaseInsensitiveDict(headers)
        response._content = content if isinstance(content, bytes) else json.dumps(content).encode()
        return response


def signed_in(number: int) -> dict[str, str]:
    """Return a sign-in answer whose token differs by *number*."""
    return {
        "access_token": TOKEN if number == 1 else f"00D000000000001!token{number}",
        "instance_url": "https://instance.example",
        "id": "https://acme.example/id/00D000000000001EAA/005000000000001AAA",
        "token_type": "Bearer",
        "issued_at": "1767225600000",
    }


@pytest.fixture
def settings() -> SalesforceSettings:
    """Settings of an org nobody runs."""
    return SalesforceSettings(
        my_domain_url="https://acme.example", client_id="key", client_secret=SECRET
    )


@pytest.fixture
def org() -> ScriptedOrg:
    """The org behind `client`."""
    return ScriptedOrg()


@pytest.fixture
def client_of(org: ScriptedOrg) -> Callable[[SalesforceSettings], SalesforceClient]:
    """Build a client that talks to `org`."""

    def build(settings: SalesforceSettings) -> SalesforceClient:
        client = SalesforceClient(settings, sleep=org.pauses.append)
        client._wire.http.mount("https://", org)
        return client

    return build


@pytest.fixture
def client(
    settings: SalesforceSettings, client_of: Callable[[SalesforceSettings], SalesforceClient]
) -> SalesforceClient:
    """A client whose org is `org`."""
    return client_of(settings)
