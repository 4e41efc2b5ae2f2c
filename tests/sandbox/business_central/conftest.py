"""A Business Central company on its own, as a process behind TLS."""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml_connector.sandbox.frame.certificates import make_authority
from ml_connector.sandbox.frame.wire import decode, encode

SCOPE = "https://api.businesscentral.dynamics.com/.default"
ITEMS = [
    {
        "number": number,
        "displayName": name,
        "type": "Inventory",
        "baseUnitOfMeasureCode": "PCS",
        "unitPrice": Decimal(price),
        "inventory": Decimal(1000),
    }
    for number, name, price in (("1000", "Bicycle", "400.00"), ("1100", "Bolt M8", "0.25"))
]
CUSTOMERS = [
    {"number": "C100", "displayName": "Adatum", "country": "US", "email": "a@adatum.example"},
    {"number": "C200", "displayName": "O'Brien & Söhne", "country": "GB", "currencyCode": "GBP"},
    {"number": "C300", "displayName": "Müller 株式会社", "country": "DE", "currencyCode": "EUR"},
]


@dataclass
class Tenant:
    """A running company with a signed-in client and its admin surface."""

    line: dict[str, Any]
    ca_file: Path
    client: httpx.Client
    admin: httpx.Client
    token: str = ""
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """The address of the API."""
        return f"/v2.0/{self.line['tenant_id']}/{self.line['environment']}/api/v2.0"

    @property
    def company(self) -> str:
        """The address of the company."""
        return f"{self.root}/companies({self.line['company_id']})"

    def grant(self, tenant: str | None = None, **fields: str) -> httpx.Response:
        """Ask for a token; fields replace the right ones."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.line["client_id"],
            "client_secret": self.line["client_secret"],
            "scope": SCOPE,
            **fields,
        }
        path = f"/{tenant or self.line['tenant_id']}/oauth2/v2.0/token"
        return self.client.post(path, data={k: v for k, v in form.items() if v != "-"})

    def sign_in(self) -> None:
        """Take a new token."""
        self.token = self.grant().json()["access_token"]

    def call(self, method: str, path: str, body: Any = None, /, **headers: str) -> httpx.Response:
        """Call a path below the company, or below the host with a leading slash."""
        url = path if path.startswith(("/", "https:")) else f"{self.company}/{path}"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent.setdefault("authorization", f"Bearer {self.token}")
        content = None
        if body is not None:
            content = encode(body)
            sent.setdefault("content-type", "application/json")
        return self.client.request(method, url, content=content, headers=sent)

    def refusal(
        self, method: str, path: str, body: Any = None, /, **headers: str
    ) -> tuple[int, str]:
        """Status and code of a call that must be refused in the service's shape."""
        answer = self.call(method, path, body, **headers)
        assert answer.status_code >= 400, answer.text
        error = answer.json()["error"]
        assert set(error) == {"code", "message"}
        assert "  CorrelationId:  " in error["message"]
        return answer.status_code, error["code"]

    def get(self, path: str, **headers: str) -> Any:
        """The content of a GET that must succeed."""
        answer = self.call("GET", path, **headers)
        assert answer.status_code == 200, answer.text
        return decode(answer.content)

    def values(self, path: str) -> list[Any]:
        """The rows of a GET that must succeed."""
        return list(self.get(path)["value"])

    def create(self, entity: str, /, **fields: Any) -> Any:
        """Create a record that must be accepted."""
        answer = self.call("POST", entity, fields)
        assert answer.status_code == 201, answer.text
        return decode(answer.content)

    def change(self, path: str, /, **fields: Any) -> Any:
        """Change a record that must be accepted."""
        answer = self.call("PATCH", path, fields, if_match="*")
        assert answer.status_code == 200, answer.text
        return decode(answer.content)

    def order(self, customer: str = "C100", *, lines: int = 2, **fields: Any) -> Any:
        """Create an order with lines over bicycles and bolts, and return it with its lines."""
        rows = [
            {"itemId": self.ids["1000"], "quantity": 2, "unitPrice": Decimal("399.95")},
            {"itemId": self.ids["1100"], "quantity": 100, "unitPrice": Decimal("0.24")},
        ]
        body = {"customerNumber": customer, **fields, "salesOrderLines": rows[:lines]}
        answer = self.call("POST", "salesOrders?$expand=salesOrderLines", body)
        assert answer.status_code == 201, answer.text
        return decode(answer.content)

    def act(self, name: str, **arguments: Any) -> Any:
        """Let the clerk do something."""
        answer = self.admin.post("/act", content=encode({"act": name, **arguments}))
        assert answer.status_code == 200, answer.text
        return decode(answer.content)

    def switch(self, **positions: Any) -> None:
        """Turn switches."""
        assert self.admin.post("/switches", json=positions).status_code == 200

    def fault(self, **rule: Any) -> None:
        """Add a rule to the fault plan."""
        assert self.admin.post("/faults", json=rule).status_code == 200

    def move_clock(self, seconds: float) -> None:
        """Let time pass."""
        assert self.admin.post("/clock", json={"by_seconds": seconds}).status_code == 200


@pytest.fixture(scope="session")
def tenant_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """One company for all tests of this folder, with a snapshot of its first state."""
    directory = tmp_path_factory.mktemp("company")
    authority, certificate, key = make_authority(directory)
    seed = directory / "seed.json"
    load = [{"entity": "items", "rows": ITEMS}, {"entity": "customers", "rows": CUSTOMERS}]
    seed.write_bytes(encode({"load": load}))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ml_connector.sandbox.business_central", "--watch-stdin"),
            *("--ca", str(authority), "--cert", str(certificate), "--key", str(key)),
            *("--seed-file", str(seed)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    trust = ssl.create_default_context(cafile=authority)
    running = Tenant(
        line,
        authority,
        httpx.Client(base_url=line["url"], verify=trust, trust_env=False, timeout=30),
        httpx.Client(base_url=f"http://127.0.0.1:{line['admin_port']}", trust_env=False),
    )
    running.admin.post("/snapshot", json={})
    yield running
    running.client.close()
    running.admin.close()
    process.terminate()
    process.wait(20)


@pytest.fixture
def tenant(tenant_process: Tenant) -> Tenant:
    """The company in its first state, signed in."""
    tenant_process.admin.post("/restore", json={}).raise_for_status()
    tenant_process.sign_in()
    for entity in ("items", "customers"):
        for row in tenant_process.values(f"{entity}?$select=id,number"):
            tenant_process.ids[row["number"]] = row["id"]
    return tenant_process
