"""How records are spread over task runs, and what a phase remembers."""

from __future__ import annotations

import pytest

from ml_connector.domain.decision import Unchanged
from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import AuthenticationError, TransientError
from ml_connector.exchange.outcome import Outcome, Planned
from ml_connector.exchange.show import ShowResult
from tasks.batches import (
    DETAILS_KEPT,
    Batch,
    BatchesFailed,
    PhaseResult,
    batch_size,
    even_size,
    settle,
)


def _outcome(state: State, key: str = "801000000000001AAA") -> Outcome:
    return Outcome(Kind.ORDER, key, key, "00000101", state)


def _plan(number: str) -> Planned:
    return Planned(Kind.ORDER, f"801{number}", number, Unchanged("", ""), None, 0, {})


@pytest.mark.parametrize(
    ("plans", "keys", "size"),
    [
        (0, 0, 1),
        (1, 1, 1),
        (50, 50, 1),
        (51, 51, 2),
        (100, 100, 2),
        (500, 500, 10),
        (3, 400, 1),  # many are looked at, few written: each is named
        (500, 1_000, 20),
        (500, 5_000, 100),
        (500, 100_000, 100),
        (1, 100_000, 100),
    ],
)
def test_batches_name_single_records_until_there_are_many(plans: int, keys: int, size: int) -> None:
    """One record per task run up to fifty, then about fifty task runs, at most 100 records each."""
    assert batch_size(plans, keys) == size


@pytest.mark.parametrize(
    ("plans", "largest", "size"),
    [(0, 40, 40), (3, 1, 1), (50, 1, 1), (415, 40, 28), (500, 100, 100), (440, 56, 44)],
)
def test_all_lanes_end_a_window_together(plans: int, largest: int, size: int) -> None:
    """No lane waits for a last few batches that did not fill a round."""
    assert even_size(plans, largest, 5) == size


def test_a_batch_of_one_is_named_by_its_number() -> None:
    """On a normal day the run graph shows business numbers."""
    assert str(Batch(None, [_plan("00000101")])) == "00000101"  # type: ignore[arg-type]


def test_a_batch_of_many_is_named_by_its_ends() -> None:
    """A large batch says which records it covers and how many."""
    batch = Batch(None, [_plan("00000101"), _plan("00000102"), _plan("00000103")])  # type: ignore[arg-type]

    assert str(batch) == "00000101 to 00000103 (3)"


def test_a_result_counts_all_and_keeps_a_bounded_number_of_details() -> None:
    """A run of any size keeps its memory flat."""
    result = PhaseResult()

    result.add([_outcome(State.WRITTEN)] * (DETAILS_KEPT + 7))
    result.add([_outcome(State.UNCHANGED)] * 3)

    assert result.counts == {State.WRITTEN: DETAILS_KEPT + 7, State.UNCHANGED: 3}
    assert len(result.details) == DETAILS_KEPT


async def test_what_is_shown_of_a_written_record_does_not_count_it_twice() -> None:
    """An order that was written and then shown in Salesforce is one order."""

    async def shown() -> ShowResult:
        return ShowResult(written=1, outcomes=[_outcome(State.WRITTEN)])

    result = PhaseResult()
    result.add([_outcome(State.WRITTEN)])
    await result.showing(shown())

    assert (result.counts, result.shown) == ({State.WRITTEN: 1}, {State.WRITTEN: 1})
    assert len(result.details) == 1
    assert result.in_all() == {State.WRITTEN: 2}


async def test_a_fault_while_showing_is_remembered_not_raised() -> None:
    """The run still writes its summary before it fails."""

    async def unavailable() -> ShowResult:
        raise TransientError("Salesforce does not answer")

    result = await PhaseResult().showing(unavailable())

    with pytest.raises(BatchesFailed, match="Salesforce does not answer"):
        result.raise_faults()


async def test_failed_batches_do_not_end_the_longer_run() -> None:
    """`sync` goes on with the phases that do not depend on the failed batch."""

    async def phase() -> PhaseResult:
        raise BatchesFailed("3 batches")

    result = await settle(phase())

    assert len(result.faults) == 1


async def test_a_failed_phase_still_tells_what_it_did() -> None:
    """The summary of the longer run counts the records that went through."""
    failed = PhaseResult(faults=[TransientError("away")])
    failed.add([_outcome(State.WRITTEN)])

    async def phase() -> PhaseResult:
        failed.raise_faults()
        return failed

    result = await settle(phase())

    assert result.counts == {State.WRITTEN: 1}
    with pytest.raises(BatchesFailed, match=r"^Not everything could be done, the rest was: away$"):
        result.raise_faults()


async def test_refused_credentials_end_the_longer_run() -> None:
    """Nothing else can succeed without a sign-in, so the run stops there."""

    async def phase() -> PhaseResult:
        raise AuthenticationError("refused")

    with pytest.raises(AuthenticationError):
        await settle(phase())


def test_joined_results_add_up() -> None:
    """Counts of several phases make one."""
    first, second = PhaseResult(), PhaseResult()
    first.add([_outcome(State.WRITTEN)])
    second.add([_outcome(State.WRITTEN), _outcome(State.PARKED)])

    whole = first.joined(second)

    assert whole.counts == {State.WRITTEN: 2, State.PARKED: 1}
    assert str(whole) == "1 parked, 2 written"
