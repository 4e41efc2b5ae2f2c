"""Create records under a number of ours, or under BC's own where its series allows no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_connector.domain.decision import Body
from ml_connector.errors import RecordRejected
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import Written


def written_row(row: Mapping[str, Any]) -> Written:
    """Return a row that BC answered with as what was written."""
    return Written(str(row["id"]).lower(), str(row["number"]), row)


def create_numbered(
    systems: Systems, entity_set: str, body: Body, on_send: Callable[[], None]
) -> Written:
    """Create *body* with its number; without it when the series forbids numbers of ours.

    What the series forbids is remembered for the rest of the run. Raises: as `create`.
    """
    bc = systems.business_central
    number = body.get("number")
    series_only = systems.remembered.get(f"{entity_set}_series_only", lambda: [False])
    if number and not series_only[0]:
        try:
            return written_row(bc.create(entity_set, body, on_send=on_send))
        except RecordRejected as fault:
            if fault.code != "Application_DialogException":
                raise
    without: Body = {name: value for name, value in body.items() if name != "number"}
    answer = bc.create(entity_set, without, on_send=on_send)
    if number:
        series_only[0] = True
    return written_row(answer)
