"""Everything one run works with: both vendors' clients, the ledger and the settings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from threading import Lock
from types import TracebackType
from typing import Self, TypeVar

from ml_connector.business_central.client import BusinessCentralClient
from ml_connector.configuration.settings import ConnectionSettings, Policies
from ml_connector.domain.address import iso_countries
from ml_connector.domain.clock import Clock, SystemClock, today_in
from ml_connector.errors import ConfigurationError
from ml_connector.ledger.ledger import ConnectionLedger, Ledger
from ml_connector.ledger.owner import this_process_owner
from ml_connector.ledger.run_ids import RunIds
from ml_connector.salesforce.client import SalesforceClient

log = logging.getLogger("ml_connector")

Value = TypeVar("Value")


class Remembered:
    """What a run reads once (currencies, units, countries) or notes for its later phases."""

    def __init__(self) -> None:
        self._values: dict[str, object] = {}
        self._lock = Lock()

    def get(self, name: str, read: Callable[[], Value]) -> Value:
        """Return what is known as *name*; read by *read* the first time."""
        with self._lock:
            if name not in self._values:
                self._values[name] = read()
            return self._values[name]  # type: ignore[return-value]  # one reader per name

    def forget(self, name: str) -> None:
        """Read *name* again the next time it is asked for."""
        with self._lock:
            self._values.pop(name, None)


@dataclass(frozen=True)
class Systems:
    """The open connections of one run; safe to use from several threads.

    `run` carries the flow-run and task-run id that audit entries name; `owner` names this process
    in the ledger's claims.
    """

    settings: ConnectionSettings
    salesforce: SalesforceClient
    business_central: BusinessCentralClient
    store: Ledger
    ledger: ConnectionLedger
    clock: Clock
    run: RunIds
    owner: str
    remembered: Remembered = field(default_factory=Remembered)

    @classmethod
    def open(
        cls, settings: ConnectionSettings, run: RunIds | None = None, clock: Clock | None = None
    ) -> Self:
        """Open the ledger (migrating it when needed) and prepare both clients.

        Effect: no vendor is called yet. Raises: ConfigurationError (ledger not usable).
        """
        present = clock or SystemClock()
        store = Ledger.open(settings.ledger_url_text())
        return cls(
            settings=settings,
            salesforce=SalesforceClient(settings.salesforce, present),
            business_central=BusinessCentralClient(settings.business_central, present),
            store=store,
            ledger=store.connection(settings.name),
            clock=present,
            run=run or RunIds(),
            owner=this_process_owner(),
        )

    def with_run(self, run: RunIds) -> Systems:
        """Return the same connections under the ids of another flow or task run."""
        return replace(self, run=run)

    def close(self) -> None:
        """Close both clients and the ledger."""
        self.salesforce.close()
        self.business_central.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def policy(self) -> Policies:
        """The switches of the connection."""
        return self.settings.policy

    @property
    def local_currency(self) -> str:
        """ISO code of the BC company's own currency."""
        return self.settings.business_central.local_currency

    def today(self) -> date:
        """Return today's date in the policy's time zone."""
        return today_in(self.clock, self.policy.orders.time_zone)

    def is_multi_currency(self) -> bool:
        """Tell whether the Salesforce org has CurrencyIsoCode on its orders; asked once per run."""
        return self.remembered.get(
            "multi_currency", lambda: self.salesforce.describe("Order").has("CurrencyIsoCode")
        )

    def org_currency(self) -> str:
        """Currency of every amount in a single-currency org; "" in a multi-currency one.

        Raises: ConfigurationError when the org has one currency and nobody told which: an amount
        would be written in whatever BC's own currency is.
        """
        if self.is_multi_currency():
            return ""
        if not self.settings.salesforce.currency:
            raise ConfigurationError(
                "The org has one currency and the connection file does not say which.",
                system="salesforce",
                code="currency",
                remedy='Set currency = "USD" (or what it is) under [salesforce] and run connect '
                "again.",
            )
        return self.settings.salesforce.currency

    def currencies(self) -> Mapping[str, str]:
        """BC's foreign currencies: code → id; read once per run."""
        return self.remembered.get(
            "currencies",
            lambda: {
                row["code"].upper(): row["id"]
                for row in self.business_central.rows("currencies", select=("id", "code"))
            },
        )

    def units(self) -> frozenset[str]:
        """Codes of BC's units of measure; read once per run."""
        return self.remembered.get(
            "units",
            lambda: frozenset(
                row["code"].upper()
                for row in self.business_central.rows("unitsOfMeasure", select=("id", "code"))
            ),
        )

    def countries(self) -> Mapping[str, str]:
        """BC's countries: code → display name; read once per run.

        Where BC's API does not offer the list it is ISO's, and BC refuses what it does not know.
        """
        return self.remembered.get("countries", self._countries)

    def _countries(self) -> Mapping[str, str]:
        try:
            rows = list(
                self.business_central.rows("countriesRegions", select=("id", "code", "displayName"))
            )
        except ConfigurationError as fault:
            if fault.code != "unknown_entity_set":
                raise
            log.warning("%s ISO's list of countries is used.", fault.message)
            return iso_countries()
        return {row["code"].upper(): row.get("displayName") or "" for row in rows}
