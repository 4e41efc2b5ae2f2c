"""A Salesforce org on its own, as a process behind TLS."""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml_connector.sandbox.frame.certificates import make_authority

PACKAGE = Path(__file__).parents[3] / "salesforce-package"
DATA = "/services/data/v65.0"
CLIENT_ID, CLIENT_SECRET = "sandbox-client", "sandbox-secret"


@dataclass
class Org:
    """A running org with a signed-in client and its admin surface."""

    url: str
    ca_file: Path
    client: httpx.Client
    admin: httpx.Client
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def sign_in(self) -> None:
        """Take a new session."""
        self.token = self.grant().json()["access_token"]

    def grant(self, **fields: str) -> httpx.Response:
        """Ask for a token; fields replace the right ones."""
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            **fields,
        }
        return self.client.post("/services/oauth2/token", data=form)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Call a resource below the version with the session."""
        headers = {"authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        if not path.startswith("/services"):
            path = DATA + path
        if body is not None:
            more["json"] = body
        return self.client.request(method, path, headers=headers, **more)

    def refusal(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
        """Status and code of a call that must be refused in the org's shape."""
        answer = self.call(method, path, body, **more)
        assert answer.status_code >= 400, answer.text
        errors = answer.json()
        assert isinstance(errors, list), errors
        return answer.status_code, errors[0]["errorCode"]

    def query(self, soql: str, resource: str = "query") -> Any:
        """The answer to a query that must succeed."""
        answer = self.call("GET", f"/{resource}", params={"q": soql})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self, soql: str) -> list[str]:
        """The ids that a query names."""
        return [record["Id"] for record in self.query(soql)["records"]]

    def create(self, sobject: str, **fields: Any) -> str:
        """Create a record that must be accepted."""
        answer = self.call("POST", f"/sobjects/{sobject}", fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def read(self, sobject: str, record_id: str) -> Any:
        """A record as it is stored."""
        answer = self.call("GET", f"/sobjects/{sobject}/{record_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def act(self, name: str, **arguments: Any) -> Any:
        """Let a person of the org do something."""
        answer = self.admin.post("/act", json={"act": name, **arguments})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def switch(self, **positions: Any) -> None:
        """Turn switches."""
        assert self.admin.post("/switches", json=positions).status_code == 200

    def move_clock(self, seconds: float) -> None:
        """Let time pass."""
        assert self.admin.post("/clock", json={"by_seconds": seconds}).status_code == 200


@pytest.fixture(scope="session")
def org_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    """One org for all tests of this folder, with a snapshot of its first state."""
    directory = tmp_path_factory.mktemp("org")
    authority, certificate, key = make_authority(directory)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ml_connector.sandbox.salesforce", "--watch-stdin"),
            *("--ca", str(authority), "--cert", str(certificate), "--key", str(key)),
            *("--package", str(PACKAGE)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    trust = ssl.create_default_context(cafile=str(authority))
    admin_url = f"http://127.0.0.1:{line['admin_port']}"
    with (
        httpx.Client(base_url=line["url"], verify=trust, trust_env=False, timeout=30) as client,
        httpx.Client(base_url=admin_url, trust_env=False, timeout=30) as admin,
    ):
        org = Org(line["url"], Path(authority), client, admin)
        admin.post("/snapshot", json={"name": "fresh"}).raise_for_status()
        yield org
    process.terminate()
    process.wait(10)


@pytest.fixture
def org(org_process: Org) -> Org:
    """The org in its first state, with a fresh session."""
    org_process.admin.post("/restore", json={"name": "fresh"}).raise_for_status()
    org_process.sign_in()
    return org_process


@dataclass(frozen=True)
class Shop:
    """An account, a product with its standard price, and the standard price book."""

    account: str
    product: str
    book: str
    entry: str


@pytest.fixture
def shop(org: Org) -> Shop:
    """What an order needs."""
    book = org.ids("SELECT Id FROM Pricebook2 WHERE IsStandard = true")[0]
    product = org.create("Product2", Name="Bolt", ProductCode="B-1", IsActive=True)
    entry = org.create(
        "PricebookEntry", Product2Id=product, Pricebook2Id=book, UnitPrice=2.5, IsActive=True
    )
    return Shop(org.create("Account", Name="Acme"), product, book, entry)


@pytest.fixture
def draft(org: Org, shop: Shop) -> str:
    """A draft order with one line of four bolts."""
    order = org.create(
        "Order",
        AccountId=shop.account,
        EffectiveDate="2026-01-31",
        Status="Draft",
        Pricebook2Id=shop.book,
    )
    org.create("OrderItem", OrderId=order, PricebookEntryId=shop.entry, Quantity=4, UnitPrice=2.5)
    return order
