"""Do a whole sync without a trace: real reads, writes that stay in memory, a copy of the ledger.

The phases do not know that they are rehearsed, so that what they would do is what they do here:
an order whose customer the same run would create is created, not left waiting.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from ml_connector.errors import TransientError
from ml_connector.exchange.rehearsed_business_central import RehearsedBusinessCentral
from ml_connector.exchange.rehearsed_salesforce import RehearsedSalesforce
from ml_connector.exchange.report import begin_run
from ml_connector.exchange.systems import Remembered, Systems
from ml_connector.ledger.ledger import ConnectionLedger, Ledger
from ml_connector.ledger.run_ids import RunIds


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A rehearsed run: its systems hold what it decided and what it pretended to write."""

    systems: Systems
    salesforce: RehearsedSalesforce
    business_central: RehearsedBusinessCentral
    standing: ConnectionLedger
    """The real ledger, as the run found it."""


@contextmanager
def rehearsed(
    systems: Systems, phases: Callable[[Systems], TransientError | None]
) -> Iterator[Rehearsal]:
    """Give the rehearsal of *phases* on the connection of *systems*.

    Effect: none in either system, none in the ledger; a temporary copy of it is deleted at the end.
    Raises: TransientError when a vendor was not available for a part of it.
    """
    salesforce = RehearsedSalesforce(systems.settings.salesforce, systems.clock)
    central = RehearsedBusinessCentral(systems.settings.business_central, systems.clock)
    with tempfile.TemporaryDirectory(prefix="ml-connector-plan-") as folder:
        store = Ledger.open(f"sqlite:///{Path(folder) / 'copy.db'}", durable=False)
        copy = replace(
            systems,
            salesforce=salesforce,
            business_central=central,
            store=store,
            ledger=systems.ledger.copy_to(store),
            run=RunIds(flow_run_id=systems.run.flow_run_id or str(uuid4())),
            remembered=Remembered(),
        )
        with copy:
            begin_run(copy, "sync")
            fault = phases(copy)
            if fault is not None:
                raise fault
            yield Rehearsal(copy, salesforce, central, systems.ledger)
