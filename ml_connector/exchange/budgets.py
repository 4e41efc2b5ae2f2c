"""What the vendors allow, how much of it is used, and the share that is kept for orders.

Salesforce counts the org's calls and event deliveries in a rolling day: calls are told with every
answer, deliveries by one call an hour. Business Central counts an app's requests in five minutes:
this process counts its own. Readings are kept in the ledger, so that every process knows them.

Work that can wait asks `require_spare` first: it stops before it uses what is kept for orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from ml_connector.business_central.pacing import WINDOW_SECONDS
from ml_connector.errors import ConnectorError, RateLimited
from ml_connector.exchange.budget_forecast import Sample, forecast, kept
from ml_connector.exchange.systems import Systems

CALLS, EVENTS, RATE = "salesforce_calls", "salesforce_events", "business_central_rate"
"""Names of the budgets."""

TITLES: Mapping[str, str] = {
    CALLS: "Salesforce API calls in 24 hours",
    EVENTS: "Salesforce event deliveries in 24 hours",
    RATE: "Business Central requests in five minutes",
}

CODE = "budget_reserved"
"""Code of the fault that ends work which has to wait."""

_KEPT = "budgets"
_READ = "budget_readings"
_ASKED = "budgets_asked"
_STALE_AFTER = timedelta(hours=1)
_STALE_WHEN_LOW = timedelta(minutes=5)
_NOTED_EVERY = timedelta(minutes=5)
_LEAST_PAUSE = timedelta(seconds=30)


class BudgetState(StrEnum):
    """How it stands with a budget: `reserved` is left for orders alone."""

    OK = "ok"
    LOW = "low"
    RESERVED = "reserved"
    USED_UP = "used_up"


@dataclass(frozen=True, slots=True)
class Budget:
    """One allowance; `forecast` is what will be used when the rolling day is over."""

    name: str
    used: int
    limit: int
    reserved: int
    forecast: int
    state: BudgetState
    at: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the budget as `status --json` prints it."""
        return {
            "name": self.name,
            "used": self.used,
            "limit": self.limit,
            "reserved": self.reserved,
            "forecast": self.forecast,
            "state": str(self.state),
            "at": self.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        }

    @property
    def sentence(self) -> str:
        """What a person reads."""
        return (
            f"{TITLES[self.name]}: {self.used} of {self.limit} used, {self.forecast} expected, "
            f"{self.reserved} kept for orders."
        )


def budgets(systems: Systems) -> list[Budget]:
    """Return every budget that is known, by this process's readings or the ledger's.

    Calls nobody. For `status`, the health artifact and the automations.
    """
    now = systems.clock.now()
    known = _known(systems)
    found = [_budget(systems, name, known[name], now) for name in (CALLS, EVENTS) if name in known]
    used, most = systems.business_central.rate
    rate = known.get(RATE, [])
    if not used and rate and now - rate[-1].at < timedelta(seconds=WINDOW_SECONDS):
        used = rate[-1].used
    return [*found, _budget(systems, RATE, [Sample(now, used, most)], now)]


def low_budgets(systems: Systems) -> list[Budget]:
    """Return the budgets that a person should know of: nearly used, or soon.

    Business Central's rate is none of them: using all of it is what a first load is meant to do.
    """
    return [
        each for each in budgets(systems) if each.name != RATE and each.state is not BudgetState.OK
    ]


def refresh_budgets(systems: Systems) -> None:
    """Ask Salesforce for its limits when what is known is old; keeps the readings.

    Cost: one call an hour, or every five minutes while something is low. A refused call leaves
    what was known.
    """
    now = systems.clock.now()
    low = bool(low_budgets(systems))
    asked = systems.ledger.recall(_ASKED)
    if isinstance(asked, str):
        age = now - datetime.fromisoformat(asked)
        if age < (_STALE_WHEN_LOW if low else _STALE_AFTER):
            return
    with systems.ledger.transaction() as tx:
        tx.remember(_ASKED, now.isoformat())
    try:
        read_limits(systems)
    except ConnectorError:
        return
    note_budgets(systems)


def read_limits(systems: Systems) -> None:
    """Read Salesforce's limits into this run's readings. Raises: ConnectorError when refused."""
    limits = systems.salesforce.limits()
    now = systems.clock.now()
    readings = _readings(systems)
    for name, key in ((CALLS, "DailyApiRequests"), (EVENTS, "DailyDeliveredPlatformEvents")):
        entry = limits.get(key)
        most = entry.get("Max") if isinstance(entry, Mapping) else None
        left = entry.get("Remaining") if isinstance(entry, Mapping) else None
        if isinstance(most, int) and isinstance(left, int) and most > 0:
            readings[name] = Sample(now, most - left, most)


def note_budgets(systems: Systems) -> None:
    """Keep this process's readings in the ledger, one in five minutes and the newest of each.

    Effect: one row of the ledger. Repeating it changes nothing.
    """
    now = systems.clock.now()
    readings = dict(_current(systems))
    used, most = systems.business_central.rate
    if used:
        readings[RATE] = Sample(now, used, most)
    stored = _stored(systems)
    known = [stored[name][-1].at for name in readings if stored.get(name)]
    if len(known) == len(readings) and all(now - at < _LEAST_PAUSE for at in known):
        return
    for name, sample in readings.items():
        older = stored.get(name, [])
        fresh = older and sample.at - older[-1].at < _NOTED_EVERY and name != EVENTS
        stored[name] = kept([*(older[:-1] if fresh and len(older) > 1 else older), sample], now)
    value = {name: [sample.to_json() for sample in samples] for name, samples in stored.items()}
    with systems.ledger.transaction() as tx:
        tx.remember(_KEPT, value)


def has_spare(systems: Systems) -> bool:
    """Tell whether work that can wait may go on: nothing is down to what is kept for orders."""
    return _exhausted(systems) is None


def require_spare(systems: Systems, job: str) -> None:
    """Stop *job* (named for the message) when what is left is kept for orders.

    Nothing is lost: what it would have dealt with stays where it is until there is room again.

    Raises: RateLimited with code `budget_reserved`.
    """
    fault = withheld(systems, job)
    if fault is not None:
        raise fault


def withheld(systems: Systems, job: str) -> RateLimited | None:
    """Return the fault that makes *job* wait; None when it may go on."""
    budget = _exhausted(systems)
    if budget is None:
        return None
    return RateLimited(
        f"{job} waits: {budget.sentence}",
        system="salesforce",
        operation=job,
        code=CODE,
        remedy="Nothing to do: it goes on by itself as the rolling day frees calls. To let it go "
        "on now, lower reserve_percent of [policy.budget] or buy a larger allowance.",
    )


@contextmanager
def in_background(systems: Systems, job: str) -> Iterator[None]:
    """Let *job* use what orders can spare: of Salesforce's day, and of Business Central's rate.

    Raises: RateLimited as `require_spare`.
    """
    require_spare(systems, job)
    with systems.business_central.using_share(100 - systems.policy.budget.reserve_percent):
        yield


def _exhausted(systems: Systems) -> Budget | None:
    used_up = (BudgetState.RESERVED, BudgetState.USED_UP)
    daily = [each for each in budgets(systems) if each.name != RATE]
    return next((each for each in daily if each.state in used_up), None)


def _budget(systems: Systems, name: str, samples: list[Sample], now: datetime) -> Budget:
    policy, last = systems.policy.budget, samples[-1]
    reserved = last.limit * policy.reserve_percent // 100
    expected = forecast(samples, now)
    if last.used >= last.limit:
        state = BudgetState.USED_UP
    elif name != RATE and last.used >= last.limit - reserved and reserved:
        state = BudgetState.RESERVED
    elif last.used * 100 >= last.limit * policy.warn_percent or expected >= last.limit:
        state = BudgetState.LOW
    else:
        state = BudgetState.OK
    return Budget(name, last.used, last.limit, reserved, expected, state, last.at)


def _known(systems: Systems) -> dict[str, list[Sample]]:
    """Return the kept samples with this process's own readings behind them."""
    now = systems.clock.now()
    known = {name: kept(samples, now) for name, samples in _stored(systems).items()}
    known = {name: samples for name, samples in known.items() if samples}
    for name, sample in _current(systems).items():
        known[name] = [*known.get(name, []), sample]
    return known


def _current(systems: Systems) -> dict[str, Sample]:
    """Return what this process was told last."""
    readings = dict(_readings(systems))
    usage = systems.salesforce.api_usage
    if usage is not None and usage[1] > 0:
        readings[CALLS] = Sample(systems.clock.now(), *usage)
    return readings


def _readings(systems: Systems) -> dict[str, Sample]:
    readings: dict[str, Sample] = systems.remembered.get(_READ, dict)
    return readings


def _stored(systems: Systems) -> dict[str, list[Sample]]:
    value = systems.ledger.recall(_KEPT)
    if not isinstance(value, Mapping):
        return {}
    return {
        str(name): [Sample.of(each) for each in samples if isinstance(each, Mapping)]
        for name, samples in value.items()
        if isinstance(samples, list)
    }
