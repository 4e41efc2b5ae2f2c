"""A listener goes on when a service or the ledger is away for a while."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flows import change_capture
from ml_connector.changes import hand_over
from ml_connector.changes.hand_over import Due
from ml_connector.errors import AuthenticationError, TransientError
from tasks import changes
from tasks.changes import Capture

WORK = Due(items=False, customers=False, contacts=False, orders=True, status=False)
AWAY = TransientError("Salesforce did not answer.")
SYSTEMS: Any = SimpleNamespace(
    policy=SimpleNamespace(feeds=SimpleNamespace(debounce_seconds=0)),
    ledger=SimpleNamespace(counts=dict),
)
SCOPE: Any = SimpleNamespace(systems=SYSTEMS)


class Listening:
    """A listener that never hears anything and is never over."""

    is_over = False

    def wait(self, seconds: float) -> bool:
        """Hear nothing."""
        del seconds
        return False

    def raise_failure(self) -> None:
        """There is none."""


class Answers:
    """Gives or raises one thing after another, the last one again and again."""

    def __init__(self, *given: Any) -> None:
        self.left = list(given)
        self.asked = 0

    def __call__(self, *_: Any) -> Any:
        """Give the next."""
        self.asked += 1
        given = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(given, Exception):
            raise given
        return given


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pauses of a hundredth of a second at most."""
    monkeypatch.setattr(changes, "_LONGEST_PAUSE", 0.01)
    yield


def capture_of(minutes: float = 0.05) -> Capture:
    """Return a capture that listens to nothing."""
    listener: Any = Listening()
    return Capture(SCOPE, listener, minutes)


async def test_a_service_that_is_away_while_work_is_looked_for_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The fault is one line of the log; the work comes with a later look."""
    due = Answers(AWAY, AWAY, WORK)
    monkeypatch.setattr(hand_over, "due", due)
    with caplog.at_level(logging.WARNING, "ml_connector"):
        async for work in capture_of().rounds():
            assert work is WORK
            break

    assert due.asked == 3
    assert [line.split(" Looking")[0] for line in caplog.messages] == [str(AWAY)] * 2


async def test_each_look_in_vain_puts_the_next_one_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Pauses double up to a bound, and are short again after a round without a fault."""
    monkeypatch.setattr(changes, "_LONGEST_PAUSE", 5.0)
    monkeypatch.setattr(changes, "time", SimpleNamespace(monotonic=Clock()))
    monkeypatch.setattr(hand_over, "due", Answers(AWAY, AWAY, AWAY, WORK, AWAY, WORK))
    rounds = 0
    capture = capture_of(10)
    with caplog.at_level(logging.WARNING, "ml_connector"):
        async for _ in capture.rounds():
            capture.dealt_with([])
            rounds += 1
            if rounds == 2:
                break

    assert [line.split()[-2] for line in caplog.messages] == ["2", "4", "5", "2"]


class Clock:
    """A clock that goes on by a tenth of a second whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        self.now += 0.1
        return self.now


@pytest.mark.parametrize("watch", ["_watch", "_parked"])
async def test_a_ledger_that_is_away_while_feeds_or_records_are_looked_at_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, watch: str
) -> None:
    """The rounds go on after the look failed."""
    monkeypatch.setattr(hand_over, "due", Answers(WORK))
    capture = capture_of()
    look = Answers(AWAY, None)

    async def look_later() -> None:
        look()

    monkeypatch.setattr(getattr(capture, watch), "look", look if watch == "_parked" else look_later)
    rounds = 0
    async for _ in capture.rounds():
        rounds += 1
        if rounds == 3:
            break

    assert look.asked >= 2


async def test_refused_credentials_end_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no waiting cures is raised."""
    monkeypatch.setattr(hand_over, "due", Answers(AuthenticationError("refused")))
    with pytest.raises(AuthenticationError):
        async for _ in capture_of().rounds():
            pass


async def test_a_fault_between_the_phases_is_a_fault_of_the_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The round counts as one that could not be done; the listener goes on."""

    async def away(*_: Any) -> Any:
        raise AWAY

    monkeypatch.setattr(change_capture, "hand_over_changes", away)
    (result,) = await change_capture._handed_over("acme", WORK)

    assert result.faults == [AWAY]


async def test_a_standby_outlasts_a_ledger_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks again for as long as it would stand by, then says what kept it."""
    lease = object()
    take = Answers(AWAY, None, AWAY, lease)
    monkeypatch.setattr(changes, "FeedLease", SimpleNamespace(take=take))
    monkeypatch.setattr(changes, "TRY_SECONDS", 0.01)

    assert await changes._taken(SYSTEMS, 10) is lease
    take.left = [AWAY]
    with pytest.raises(TransientError):
        await changes._taken(SYSTEMS, 0.05)
