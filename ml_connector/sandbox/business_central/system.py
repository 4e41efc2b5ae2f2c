"""The Business Central side of the sandbox, as the frame and the admin surface see it."""

import pickle
from decimal import Decimal
from typing import Any

from starlette.types import ASGIApp

from ml_connector.sandbox.business_central import loading
from ml_connector.sandbox.business_central.acts import Clerk
from ml_connector.sandbox.business_central.company import Company, Identity
from ml_connector.sandbox.business_central.entities import ENTITIES
from ml_connector.sandbox.business_central.entra import Entra
from ml_connector.sandbox.business_central.faults import Refusal, error_body
from ml_connector.sandbox.business_central.foundation import lay_foundation
from ml_connector.sandbox.business_central.limits import Limits
from ml_connector.sandbox.business_central.rest import Service, kind_of
from ml_connector.sandbox.business_central.switches import SWITCHES
from ml_connector.sandbox.business_central.tables import Row
from ml_connector.sandbox.business_central.views import COMPUTED, derived_rows
from ml_connector.sandbox.business_central.webhooks import Webhooks
from ml_connector.sandbox.frame.admin import AdminError
from ml_connector.sandbox.frame.application import Frame, build_application

SHORTCUTS: dict[str, dict[str, Any]] = {
    "etag_conflict": {
        "method": "PATCH",
        "status": 409,
        "code": "Request_EntityChanged",
        "message": "The record was changed by another user.",
    },
    "throttled": {"status": 429, "code": "Application_TooManyRequests"},
    "throttled_with_retry_after": {
        "status": 429,
        "code": "Application_TooManyRequests",
        "retry_after": 1,
    },
    "unavailable": {"status": 503, "code": "Internal_TenantUnavailable", "retry_after": 1},
    "bad_gateway": {"status": 502, "body_text": "<html><body>Bad Gateway</body></html>"},
    "gateway_timeout_after_commit": {
        "status": 504,
        "after_commit": True,
        "body_text": "<html><body>Gateway Timeout</body></html>",
    },
    "sql_trouble": {"status": 500, "code": "Internal_ServerError"},
}


class BusinessCentral:
    """One tenant with one environment, one company and one app."""

    def __init__(self, frame: Frame, identity: Identity) -> None:
        self.frame = frame
        self.identity = identity
        for name, value in SWITCHES.items():
            frame.switches.setdefault(name, value)
        frame.faults.shortcuts.update(SHORTCUTS)
        self.company = Company(frame, identity)
        lay_foundation(self.company)
        self.entra = Entra(frame, identity)
        frame.expire_sessions = self.entra.expire_all
        self.limits = Limits(frame, self.entra)
        self.clerk = Clerk(self.company)
        self.webhooks = Webhooks(self.company)

    def application(self) -> ASGIApp:
        """The HTTP face, with limits and the frame's faults around it."""
        service = Service(self.company, self.entra, self.limits, self.webhooks)
        return build_application(
            service.routes(), self.frame, kind_of, error_body, gate=self.limits
        )

    def load(self, entity: str, rows: list[Row]) -> None:
        """Take in seed rows without a trace in the logs."""
        try:
            loading.load(self.company, entity, rows)
        except Refusal as refusal:
            raise AdminError(f"{refusal.code}: {refusal.message}") from refusal

    # -- the admin surface --------------------------------------------------------------------

    def act(self, name: str, **arguments: Any) -> Any:
        """Let the clerk do something, or look at the webhooks."""
        if name.startswith("webhook_"):
            return self.webhooks.act(name, arguments)
        return self.clerk.do(name, arguments)

    def records(self, entity: str, where: dict[str, str]) -> list[dict[str, Any]]:
        """The stored rows of a set whose fields have these values."""
        if entity in ("_ledger", "_item_units"):
            rows = list(self.company.table(entity).rows.values())
        elif entity == "subscriptions":
            rows = self.webhooks.records()
        elif entity not in ENTITIES:
            raise AdminError(f"there is no set {entity}")
        elif ENTITIES[entity].derived:
            customers = self.company.table("customers").in_order()
            rows = derived_rows(self.company, entity, customers)
        else:
            rows = list(self.company.table(entity).in_order())
        computed = COMPUTED.get(entity, {})
        found = []
        for row in rows:
            shown = {**row}
            if all(_same(shown.get(name), value) for name, value in where.items()):
                shown |= {name: rule(self.company, row) for name, rule in computed.items()}
                found.append(shown)
        return found

    def state(self) -> dict[str, Any]:
        """How many rows each set has, and the length of the logs."""
        return {
            "counts": {
                name: len(table) for name, table in self.company.tables.items() if len(table)
            },
            "change_log": len(self.company.change_log),
            "webhooks": self.webhooks.state(),
            "series": {code: series.next_number for code, series in self.company.series.items()},
        }

    def snapshot(self) -> bytes:
        """The whole state."""
        content = {"company": self.company.dump(), "webhooks": self.webhooks.dump()}
        return pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)

    def restore(self, blob: bytes) -> None:
        """Set the state as a snapshot had it."""
        content = pickle.loads(blob)  # noqa: S301 - pickled by this process
        self.company.restore(content["company"])
        self.webhooks.restore(content["webhooks"])


def _same(value: Any, text: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == text.lower()
    if isinstance(value, Decimal | int):
        try:
            return Decimal(text) == value
        except ArithmeticError:
            return False
    return str(value) == text
