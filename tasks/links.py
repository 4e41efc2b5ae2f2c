"""Addresses of one record where people look at it: Salesforce, Business Central, its audit."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

from prefect import get_client
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from ml_connector.exchange.addresses import Addresses
from ml_connector.exchange.outcome import Outcome
from ml_connector.exchange.systems import Systems

AUDIT_DEPLOYMENT = "audit-record/audit-record"


class Links:
    """Addresses of records in both systems, and of the form that shows a record's life.

    *audit_form* is the address of that form in the Prefect UI, "" where it is not deployed.
    """

    def __init__(self, systems: Systems, audit_form: str = "") -> None:
        self._connection = systems.settings.name
        self._addresses = Addresses(
            systems.settings,
            systems.salesforce.instance_url,
            systems.business_central.company().id,
        )
        self._audit_form = audit_form

    def salesforce(self, outcome: Outcome) -> str:
        """Return the address of the Salesforce record, "" when there is none."""
        return self._addresses.salesforce(outcome.salesforce_id)

    def business_central(self, outcome: Outcome) -> str:
        """Return the address of the BC card, or of the API's record where there is no web client.

        "" when the record has no partner.
        """
        return self._addresses.business_central(outcome.kind, outcome.bc_id, outcome.bc_number)

    def audit(self, outcome: Outcome) -> str:
        """Return the address of the form, filled in, that shows the record's life; "" for none."""
        record = outcome.salesforce_id or outcome.bc_id
        if not self._audit_form or not record:
            return ""
        filled = json.dumps({"connection": self._connection, "record": record})
        return f"{self._audit_form}?parameters={quote(filled)}"

    def salesforce_cell(self, outcome: Outcome) -> str:
        """Return the Salesforce record's address as a link for markdown."""
        return link("open", self.salesforce(outcome))

    def business_central_cell(self, outcome: Outcome) -> str:
        """Return the BC record's address as a link that carries its number."""
        return link(outcome.bc_number or outcome.bc_id, self.business_central(outcome))

    def audit_cell(self, outcome: Outcome) -> str:
        """Return the way to the record's life: a link, or the command where there is none."""
        address = self.audit(outcome)
        return link("audit", address) if address else f"`{self.audit_command(outcome)}`"

    def audit_command(self, outcome: Outcome) -> str:
        """Return the command that shows the record's life."""
        return f"ml-connector audit {self._connection} {outcome.salesforce_id or outcome.bc_id}"


def link(text: str, address: str) -> str:
    """Return a markdown link, "" without an address."""
    return f"[{text}]({address})" if address else ""


async def links_of(systems: Systems) -> Links:
    """Return the links for records of *systems*; asks Prefect where the audit's form is."""
    return await asyncio.to_thread(Links, systems, await _audit_form())


async def _audit_form() -> str:
    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(AUDIT_DEPLOYMENT)
        except ObjectNotFound:
            return ""
    address = url_for("deployment", obj_id=deployment.id)
    # The second UI takes parameters in the address; where it is off, the server leads to the first.
    return address.replace("/deployments/", "/v2/deployments/", 1) + "/run" if address else ""
