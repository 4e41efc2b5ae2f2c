"""Where people look at a record: its page in Salesforce, its card in Business Central.

Built from the settings alone, so that a command that calls no vendor can show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ml_connector.configuration.settings import ConnectionSettings
from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind
from ml_connector.ledger.records import Record

_ENTITY_SETS: Mapping[Kind, str] = {
    Kind.ITEM: "items",
    Kind.CUSTOMER: "customers",
    Kind.CONTACT: "contacts",
    Kind.ORDER: "salesOrders",
    Kind.INVOICE: "salesInvoices",
    Kind.STATUS: "salesOrders",
}

_CARD_PAGES: Mapping[Kind, int] = {
    Kind.ITEM: 30,
    Kind.CUSTOMER: 21,
    Kind.CONTACT: 5050,
    Kind.ORDER: 42,
    Kind.INVOICE: 43,
}
"""Page ids of the cards in BC's web client."""

_MICROSOFT = "https://api.businesscentral.dynamics.com"

_ABOUT: Mapping[str, Kind] = {
    Cause.BLOCKED_CUSTOMER: Kind.CUSTOMER,
    Cause.BLOCKED_ITEM: Kind.ITEM,
}
"""What the candidates of a cause are, where they are no records of the same kind."""


class Addresses:
    """Addresses of the records of one connection.

    *instance_url* and *company_id* are taken from the settings where a system was not asked.
    """

    def __init__(
        self, settings: ConnectionSettings, instance_url: str = "", company_id: str = ""
    ) -> None:
        self._org = (instance_url or settings.salesforce.my_domain_url).rstrip("/")
        self._company = settings.business_central
        self._company_id = company_id or self._company.company_id

    def salesforce(self, salesforce_id: str) -> str:
        """Return the address of a Salesforce record, "" without an id."""
        return f"{self._org}/{salesforce_id}" if salesforce_id else ""

    def business_central(self, kind: Kind, bc_id: str, bc_number: str) -> str:
        """Return the address of a card, or of the API's record where there is no web client.

        "" without an id, and where the company's id is not known.
        """
        company = self._company
        if not bc_id:
            return ""
        page = _CARD_PAGES.get(kind)
        if company.base_url.startswith(_MICROSOFT) and page and bc_number:
            name = quote(company.company_name or self._company_id)
            number = quote(f"'No.' IS '{bc_number}'")
            return (
                f"https://businesscentral.dynamics.com/{company.tenant_id}/{quote(company.environment)}"
                f"?company={name}&page={page}&filter={number}"
            )
        if not self._company_id:
            return ""
        return (
            f"{company.base_url}/{company.tenant_id}/{quote(company.environment)}/api/v2.0"
            f"/companies({self._company_id})/{_ENTITY_SETS[kind]}({bc_id})"
        )

    def report(self, record: Record) -> dict[str, Any]:
        """Return *record* as commands print it, with where a person finds it in both systems.

        In BC that is its partner, or else the first record it could be or that stands in its way.
        """
        kind, bc_id, number = record.kind, record.bc_id, record.bc_number
        if not bc_id and record.candidates:
            first = record.candidates[0]
            kind = _ABOUT.get(record.cause, kind)
            bc_id, number = str(first.get("bc_id") or ""), str(first.get("bc_number") or "")
        links = {
            "salesforce": self.salesforce(record.salesforce_id),
            "business_central": self.business_central(kind, bc_id, number),
        }
        return {**record.report(), "links": links}
