"""The connector's own Prefect events: what automations and people are told.

docs/reference/events.md lists all of them, with payloads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from prefect.events import emit_event

from ml_connector.domain.identifiers import State
from ml_connector.errors import AuthenticationError
from ml_connector.exchange.check_line import CheckLine
from ml_connector.exchange.systems import Systems

RECORDS_PARKED = "ml-connector.records.parked"
CREDENTIALS_REFUSED = "ml-connector.credentials.refused"
SUBSCRIPTION_RENEWED = "ml-connector.subscription.renewed"
BUDGET_LOW = "ml-connector.budget.low"

PARKED_LABEL = "ml-connector.parked"
"""Label with the number of parked records, so that an automation can compare it."""


def tell(
    event: str, connection: str, payload: Mapping[str, Any], labels: Mapping[str, str] | None = None
) -> None:
    """Emit *event* about a connection; the run it happened in is related by Prefect.

    The payload always names the connection. It must hold no record content and no secret: whoever
    may see the Prefect UI sees it.
    """
    emit_event(
        event=event,
        resource={
            "prefect.resource.id": f"ml-connector.connection.{connection}",
            "prefect.resource.name": connection,
            "ml-connector.connection": connection,
            **(labels or {}),
        },
        payload={"connection": connection, **payload},
    )


def tell_refused(connection: str, error: AuthenticationError) -> None:
    """Tell that a system refused the connection's credentials in the midst of a run."""
    _refused(connection, error.system, error.message, error.remedy)


def tell_refusals(connection: str, lines: Sequence[CheckLine]) -> None:
    """Tell of every refusal of credentials the checks met."""
    for line in lines:
        if line.refused_by:
            _refused(connection, line.refused_by, line.message, line.remedy)


def _refused(connection: str, system: str, message: str, remedy: str) -> None:
    payload = {"system": system, "message": message, "remedy": remedy}
    tell(CREDENTIALS_REFUSED, connection, payload)


class ParkedWatch:
    """Tells how many records are parked, whenever the number is another one than told before."""

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._told = 0

    def look(self) -> None:
        """Read the number from the ledger and tell it when it changed; nothing while it is 0."""
        counts: Counter[str] = Counter()
        for states in self._systems.ledger.counts().values():
            counts.update({str(state): number for state, number in states.items()})
        parked = counts[State.PARKED]
        if parked == self._told:
            return
        if parked:
            self._tell(parked, counts[State.WAITING])
        self._told = parked

    def _tell(self, parked: int, waiting: int) -> None:
        causes = Counter(
            record.cause
            for page in self._systems.ledger.iterate(states=(State.PARKED,))
            for record in page
        )
        tell(
            RECORDS_PARKED,
            self._systems.settings.name,
            {"parked": parked, "waiting": waiting, "by_cause": dict(causes)},
            {PARKED_LABEL: str(parked)},
        )
