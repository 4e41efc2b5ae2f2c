"""A connection to the running sandbox with a ledger of its own, and views of both systems."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ml_connector.business_central.auth import BusinessCentralAuth, Token
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.domain.identifiers import Kind
from ml_connector.errors import TransientError
from ml_connector.exchange.report import SyncReport
from ml_connector.exchange.sync import run_sync
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record
from ml_connector.salesforce.auth import SalesforceAuth, Session
from ml_connector.wire_json import encode

Row = dict[str, Any]


@dataclass
class Connected:
    """The sandbox and the settings of a connection to it."""

    sandbox: Any
    settings: ConnectionSettings

    def sync(self) -> SyncReport:
        """Run the main job once; fails when a vendor was not available."""
        return run_sync(self.settings)

    def sync_through_faults(self) -> None:
        """Run the main job once, whether or not a vendor was available for all of it."""
        try:
            run_sync(self.settings)
        except TransientError:
            return

    def with_policy(self, **areas: dict[str, Any]) -> "Connected":
        """Return the same connection under another policy."""
        policy = self.settings.policy.model_dump(mode="json")
        for area, switches in areas.items():
            policy[area].update(switches)
        renewed = type(self.settings.policy).model_validate(policy)
        return Connected(self.sandbox, self.settings.model_copy(update={"policy": renewed}))

    def salesforce(self, sobject: str, **where: str) -> list[Row]:
        """Return stored Salesforce rows past permissions; deleted ones left out."""
        rows = self._get(f"/salesforce/records/{sobject}", where)
        return [row for row in rows if not row.get("IsDeleted")]

    def business_central(self, entity: str, **where: str) -> list[Row]:
        """Return stored BC rows."""
        return self._get(f"/business-central/records/{entity}", where)

    def _get(self, path: str, where: dict[str, str]) -> list[Row]:
        answer = self.sandbox.admin.get(path, params=where)
        answer.raise_for_status()
        body = answer.json()
        rows: list[Row] = body["records"] if isinstance(body, dict) else body
        return rows

    def act(self, system: str, act: str, **arguments: Any) -> Any:
        """Let a rep ("salesforce") or a clerk ("business-central") do something."""
        answer = self.sandbox.admin.post(
            f"/{system}/act",
            content=encode({"act": act, **arguments}),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def switch(self, system: str, **positions: Any) -> None:
        """Turn switches of a system."""
        self.sandbox.admin.post(f"/{system}/switches", json=positions).raise_for_status()

    def fault(self, system: str, **rule: Any) -> None:
        """Add a rule to a system's fault plan."""
        self.sandbox.admin.post(f"/{system}/faults", json=rule).raise_for_status()

    def later(self, seconds: float) -> None:
        """Move both clocks on."""
        self.sandbox.admin.post("/clock", json={"by_seconds": seconds}).raise_for_status()

    def traffic(self) -> dict[str, int]:
        """Return how many requests each system answered since the last reset."""
        both = self.sandbox.admin.get("/traffic").json()
        return {system: numbers["total"] for system, numbers in both.items()}

    def reset_traffic(self) -> None:
        """Count requests from zero."""
        self.sandbox.admin.post("/traffic/reset").raise_for_status()

    def writes(self) -> list[Row]:
        """Return every write the connector's users made in either system so far."""
        found: list[Row] = []
        for system in ("salesforce", "business-central"):
            body = self.sandbox.admin.get(f"/{system}/writes", params={"since": 0}).json()
            entries = body["writes"] if isinstance(body, dict) else body
            found += [entry for entry in entries if entry.get("client") != "admin"]
        return found

    def records(self, kind: Kind) -> list[Record]:
        """Return the ledger's records of a kind."""
        with Systems.open(self.settings) as systems:
            return [record for page in systems.ledger.iterate(kind=kind) for record in page]

    def two_orders(self, number: str) -> list[str]:
        """Activate two equal Orders of a customer under one PO number; returns their ids."""
        account = next(
            row
            for row in self.salesforce("Account")
            if (row.get("Type") or "").startswith("Customer") and row["CurrencyIsoCode"] == "USD"
        )
        codes = [row["ProductCode"] for row in self.salesforce("Product2")]
        line = {"product": next(code for code in codes if code != "PROTO-0"), "quantity": 2}
        made = {"account": account["Id"], "lines": [line], "PoNumber": number, "activate": True}
        return [self.act("salesforce", "create_order", **made)["Id"] for _ in range(2)]

    def orders_by_reference(self) -> dict[str, list[Row]]:
        """Return the BC sales orders per external document number."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.business_central("salesOrders"):
            found[row["externalDocumentNumber"]].append(row)
        return found


@pytest.fixture
def connected(running_sandbox: Any, tmp_path: Path) -> Connected:
    """A connection with an empty SQLite ledger; unknown outcomes settle at once."""
    return connection_to(running_sandbox, tmp_path)


def connection_to(sandbox: Any, folder: Path) -> Connected:
    """Return a connection to *sandbox* with an empty SQLite ledger in *folder*."""
    settings = load_connection_file(Path(sandbox.line["connection_file"])).settings
    central = settings.business_central.model_copy(update={"settle_seconds": 0})
    ledger = SecretStr(f"sqlite:///{folder / 'ledger.db'}")
    return Connected(
        sandbox, settings.model_copy(update={"business_central": central, "ledger_url": ledger})
    )


@pytest.fixture
def tokens_given(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Every token the connector is given during the test, by system; it works on unchanged."""
    return watch_tokens(monkeypatch)


def watch_tokens(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Return a collection, by system, of every token that is given out from now on."""
    given: dict[str, set[str]] = {"salesforce": set(), "business_central": set()}
    salesforce, central = SalesforceAuth._sign_in, BusinessCentralAuth._sign_in

    def session(auth: SalesforceAuth) -> Session:
        signed_in = salesforce(auth)
        given["salesforce"].add(signed_in.token)
        return signed_in

    def token(auth: BusinessCentralAuth) -> Token:
        signed_in = central(auth)
        given["business_central"].add(signed_in.secret)
        return signed_in

    monkeypatch.setattr(SalesforceAuth, "_sign_in", session)
    monkeypatch.setattr(BusinessCentralAuth, "_sign_in", token)
    return given


@pytest.fixture
def connect(tmp_path: Path) -> Callable[[Any], Connected]:
    """Connects to a sandbox of the test's own."""
    return lambda sandbox: connection_to(sandbox, tmp_path)
