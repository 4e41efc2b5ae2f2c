"""How the records of a phase are spread over task runs.

Reading and planning go in windows of many records; writing is one task run per record on a normal
day, so that the run graph names each of them, and one per chunk when there is much to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil
from typing import TypeVar

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact
from prefect.runtime import flow_run

from ml_connector.domain.identifiers import State
from ml_connector.domain.money import ZERO
from ml_connector.errors import TransientError
from ml_connector.exchange.budgets import withheld
from ml_connector.exchange.outcome import Outcome, Planned, Prepared, Tally
from ml_connector.exchange.show import ShowResult
from ml_connector.exchange.systems import Systems
from tasks.open_systems import in_this_task

log = logging.getLogger("ml_connector")

Value = TypeVar("Value")

WINDOW = 500
"""Records prepared together: large enough for full look-ups, small enough to keep memory flat."""

SINGLE_UP_TO = 50
"""Up to so many writes each record has a task run of its own."""

LARGEST_BATCH = 100

LINES_PER_BATCH = 20
"""Up to so many records of a batch have a line each in the log."""

DETAILS_KEPT = 500
"""Records a run shows one by one; the ledger has them all."""


class BatchesFailed(TransientError):
    """Some of a run's work could not be done after all retries; the rest was."""

    default_code = "batches_failed"
    default_remedy = "Retry the run once the service answers again; it writes only what is missing."

    result: PhaseResult | None = None
    """What the run did all the same."""

    flow_run_id: str = ""
    """The run that failed."""


class Scope:
    """The systems of a run. A plain object, so that Prefect does not look inside."""

    __slots__ = ("systems",)

    def __init__(self, systems: Systems) -> None:
        self.systems = systems

    async def run(self, work: Callable[[Systems], Value]) -> Value:
        """Return what *work* does off the event loop, under the running task's id."""
        return await asyncio.to_thread(work, in_this_task(self.systems))


class Window:
    """Keys that are prepared together. A plain object, so that Prefect does not look inside."""

    __slots__ = ("keys", "name", "systems")

    def __init__(self, systems: Systems, keys: Sequence[str], name: str) -> None:
        self.systems = systems
        self.keys = keys
        self.name = name

    def __str__(self) -> str:
        return self.name

    async def prepared(self, prepare: Callable[[Systems, Sequence[str]], Prepared]) -> Prepared:
        """Return what *prepare* decides about the keys, and say what it decided."""
        prepared = await self.run(prepare)
        log_outcomes(prepared.outcomes)
        return prepared

    async def run(self, work: Callable[[Systems, Sequence[str]], Value]) -> Value:
        """Return what *work* does with the keys off the event loop, under the running task's id."""
        return await asyncio.to_thread(work, in_this_task(self.systems), self.keys)


class Batch:
    """Plans that one task run writes. A plain object, so that Prefect does not look inside."""

    __slots__ = ("_plans", "_tried", "systems")

    def __init__(self, systems: Systems, plans: Sequence[Planned]) -> None:
        self.systems = systems
        self._plans = tuple(plans)
        self._tried = False

    def __str__(self) -> str:
        numbers = [plan.number or plan.key for plan in self._plans]
        if len(numbers) == 1:
            return numbers[0]
        return f"{numbers[0]} to {numbers[-1]} ({len(numbers)})"

    async def written(
        self,
        prepare: Callable[[Systems, Sequence[str]], Prepared],
        write: Callable[[Systems, Sequence[Planned]], list[Outcome]],
    ) -> list[Outcome]:
        """Write the plans and return where each record stands.

        A second attempt plans anew: what the first one wrote is seen as written, and a record that
        changed meanwhile is decided on as it is now.

        Raises: TransientError, after all other records of the batch have been dealt with.
        """
        systems = in_this_task(self.systems)
        if not self._tried:
            self._tried = True
            outcomes = await asyncio.to_thread(write, systems, self._plans)
        else:
            again = await asyncio.to_thread(prepare, systems, [plan.key for plan in self._plans])
            outcomes = [*again.outcomes]
            if again.plans:
                outcomes += await asyncio.to_thread(write, systems, again.plans)
        log_outcomes(outcomes)
        return outcomes


@dataclass(slots=True)
class PhaseResult:
    """What a phase did: counts of all records, and the ones worth naming.

    `counts` are the records decided on, by state; `shown` are the Salesforce records whose BC_
    fields were brought up to date. `money` is what the written records are worth, by currency.
    """

    counts: dict[State, int] = field(default_factory=dict)
    shown: dict[State, int] = field(default_factory=dict)
    money: dict[str, Decimal] = field(default_factory=dict)
    details: list[Outcome] = field(default_factory=list)
    faults: list[TransientError] = field(default_factory=list)

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count *outcomes* in, and keep those that changed or need someone."""
        for outcome in outcomes:
            self.counts[outcome.state] = self.counts.get(outcome.state, 0) + 1
            if outcome.state is State.WRITTEN and outcome.money is not None:
                currency = outcome.money.currency
                self.money[currency] = self.money.get(currency, ZERO) + outcome.money.amount
        self._keep(outcomes)

    async def showing(self, shown: Awaitable[ShowResult]) -> PhaseResult:
        """Await what is shown in Salesforce and count it apart; returns itself.

        A service that stays away is remembered as a fault, so that the run goes on to its summary.
        """
        try:
            outcomes = (await shown).outcomes or []
        except TransientError as fault:
            self.faults.append(fault)
            return self
        for outcome in outcomes:
            self.shown[outcome.state] = self.shown.get(outcome.state, 0) + 1
        # What was shown of a record that the phase has written is no news of its own.
        named = {outcome.key for outcome in self.details}
        self._keep(
            [each for each in outcomes if each.state is not State.WRITTEN or each.key not in named]
        )
        return self

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        worth_naming = [each for each in outcomes if each.state is not State.UNCHANGED]
        self.details += worth_naming[: max(0, DETAILS_KEPT - len(self.details))]

    def in_all(self) -> dict[State, int]:
        """Return how many records are in each state, statuses shown in Salesforce included."""
        return {
            state: self.counts.get(state, 0) + self.shown.get(state, 0)
            for state in State
            if state in self.counts or state in self.shown
        }

    def followed_by(self, others: Sequence[PhaseResult]) -> PhaseResult:
        """Return this with *others* counted in, their faults included."""
        for part in others:
            for mine, theirs in ((self.counts, part.counts), (self.shown, part.shown)):
                for state, count in theirs.items():
                    mine[state] = mine.get(state, 0) + count
            for currency, amount in part.money.items():
                self.money[currency] = self.money.get(currency, ZERO) + amount
            self.details += part.details
            self.faults += part.faults
        return self

    def joined(self, *others: PhaseResult) -> PhaseResult:
        """Return this and *others* as one.

        Raises: BatchesFailed when one of them had a batch that could not be written.
        """
        whole = PhaseResult().followed_by((self, *others))
        whole.raise_faults()
        return whole

    def raise_faults(self) -> None:
        """Fail the run when a batch could not be written.

        Raises: BatchesFailed.
        """
        if self.faults:
            first = self.faults[0]
            failure = BatchesFailed(
                f"Not everything could be done, the rest was: {first.message}",
                system=first.system,
                operation=first.operation,
            )
            failure.result = self
            failure.flow_run_id = str(flow_run.id or "")
            raise failure

    def __str__(self) -> str:
        told = [f"{n} {state}" for state, n in sorted(self.counts.items())]
        told += [f"{n} shown in Salesforce" for n in [self.shown.get(State.WRITTEN, 0)] if n]
        return ", ".join(told) or "nothing"


def batch_size(plans: int, keys: int) -> int:
    """Return how many records one task run writes.

    One while they are few; else so many that about fifty task runs do the phase, at most 100 each.
    *keys* is the size of the whole phase, which is what counts once it fills several windows.
    """
    expected = plans if keys <= WINDOW else keys
    if expected <= SINGLE_UP_TO:
        return 1
    return min(LARGEST_BATCH, ceil(expected / SINGLE_UP_TO))


def even_size(plans: int, largest: int, lanes: int) -> int:
    """Return the size, at most *largest*, with which all *lanes* end a window at the same time.

    Thirteen batches over five lanes take as long as fifteen: then fifteen smaller ones are made.
    """
    rounds = ceil(plans / (largest * lanes))
    return ceil(plans / (rounds * lanes)) if rounds else largest


async def run_phase(
    systems: Systems,
    keys: Sequence[str],
    plan: Callable[[Window], Awaitable[Prepared]],
    write: Callable[[Batch], Awaitable[list[Outcome]]],
    *,
    job: str = "",
) -> PhaseResult:
    """Plan and write *keys* window by window; a failed batch does not stop the others.

    A *job* that can wait stops between windows when what is left is kept for orders.
    """
    result = PhaseResult()
    total = len(keys)
    progress = (
        await acreate_progress_artifact(0.0, description=f"{total} records")
        if total > WINDOW
        else None
    )
    lanes = systems.settings.business_central.max_in_flight
    slots = asyncio.Semaphore(lanes)
    done = 0
    for window in windows(systems, keys):
        held = await asyncio.to_thread(withheld, systems, job) if job else None
        if held is not None:
            result.faults.append(held)
            break
        prepared = await plan(window)
        result.add(prepared.outcomes)
        size = even_size(len(prepared.plans), batch_size(len(prepared.plans), total), lanes)
        batches = [
            Batch(systems, prepared.plans[at : at + size])
            for at in range(0, len(prepared.plans), size)
        ]
        await _write_all(batches, write, slots, result)
        done += len(window.keys)
        if progress is not None:
            await aupdate_progress_artifact(progress, 100.0 * done / total)
    return result


async def _write_all(
    batches: Sequence[Batch],
    write: Callable[[Batch], Awaitable[list[Outcome]]],
    slots: asyncio.Semaphore,
    result: PhaseResult,
) -> None:
    async def one(batch: Batch) -> list[Outcome]:
        async with slots:
            return await write(batch)

    ends = await asyncio.gather(*(one(batch) for batch in batches), return_exceptions=True)
    for end in ends:
        match end:
            case TransientError():
                result.faults.append(end)
            case BaseException():
                raise end
            case outcomes:
                result.add(outcomes)


def windows(systems: Systems, keys: Sequence[str]) -> list[Window]:
    """Return *keys* cut into named windows."""
    total = len(keys)
    return [
        Window(systems, part, f"{start + 1} to {start + len(part)} of {total}")
        for start in range(0, total, WINDOW)
        for part in [keys[start : start + WINDOW]]
    ]


async def settle(phase: Awaitable[PhaseResult]) -> PhaseResult:
    """Await a phase of a longer run; a service that stayed away is remembered, not raised.

    So the next phases still do what does not depend on what is missing, and what the phase did
    all the same is counted.

    Raises: whatever else ended the phase, such as refused credentials.
    """
    try:
        return await phase
    except BatchesFailed as failure:
        return failure.result or PhaseResult(faults=[failure])
    except TransientError as fault:
        return PhaseResult(faults=[fault])


def log_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Write one line per decision; a warning where a person or another record is needed.

    A batch too large to read line by line has one line for what went through or was left out.
    """
    smooth = [each for each in outcomes if each.state not in (State.PARKED, State.WAITING)]
    if len(smooth) > LINES_PER_BATCH:
        first, last = smooth[0], smooth[-1]
        log.info(
            "%s %s to %s: %s",
            first.kind,
            first.number or first.key,
            last.number or last.key,
            Tally().add(smooth),
        )
        smooth = []
    for outcome in smooth:
        name = f"{outcome.kind} {outcome.number or outcome.key}"
        match outcome.state:
            case State.WRITTEN:
                worth = f", {outcome.money}" if outcome.money else ""
                log.info("%s: written as %s%s", name, outcome.bc_number or outcome.bc_id, worth)
            case State.EXCLUDED:
                log.info("%s: left out (%s): %s", name, outcome.cause, outcome.message)
            case _:
                log.debug("%s: unchanged", name)
    for outcome in outcomes:
        if outcome.state in (State.PARKED, State.WAITING):
            name = f"{outcome.kind} {outcome.number or outcome.key}"
            log.warning("%s: %s (%s): %s", name, outcome.state, outcome.cause, outcome.message)
