"""The pace keeps a process within what BC allows one app."""

from __future__ import annotations

import threading
import time
from typing import Any

from ml_connector.business_central.pacing import REQUESTS_PER_WINDOW, Pace, pace_of


def test_no_more_than_the_limit_run_at_once() -> None:
    """Ten callers, three places: never a fourth in flight."""
    pace = Pace(3)
    lock = threading.Lock()
    running, most = 0, 0

    def call() -> None:
        nonlocal running, most
        with pace.slot():
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.01)
            with lock:
                running -= 1

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 3


def test_a_pause_holds_every_caller(tenant: Any) -> None:
    """What one answer asks for, all calls of the app obey."""
    watch = tenant.stopwatch
    pace = Pace(5, sleep=watch.sleep, now=watch.now)

    pace.pause(7)
    with pace.slot():
        pass
    with pace.slot():
        pass

    assert watch.pauses == [7]


def test_the_rate_stays_within_five_minutes_allowance(tenant: Any) -> None:
    """The 6,001st request waits until the first leaves the window; a batch counts by operation."""
    watch = tenant.stopwatch
    pace = Pace(5, sleep=watch.sleep, now=watch.now)
    with pace.slot(REQUESTS_PER_WINDOW - 1):
        pass
    watch.at += 100
    with pace.slot():
        pass

    with pace.slot(2):
        pass

    assert watch.pauses == [200]


def test_a_smaller_share_of_places_is_a_smaller_share_of_the_rate(tenant: Any) -> None:
    """Two of five places take two fifths of the rate."""
    watch = tenant.stopwatch
    pace = Pace(2, sleep=watch.sleep, now=watch.now)
    with pace.slot(REQUESTS_PER_WINDOW * 2 // 5):
        pass

    with pace.slot():
        pass

    assert watch.pauses == [300]


def test_clients_of_one_app_share_their_pace() -> None:
    """Two clients in a process do not get five places each."""
    first = pace_of("https://x.example", "tenant", "app", 5)

    assert pace_of("https://x.example", "tenant", "app", 4) is first
    assert pace_of("https://x.example", "tenant", "other", 5) is not first


def test_a_place_is_given_back_after_a_failure() -> None:
    """An error in flight does not leak its place."""
    pace = Pace(1)
    try:
        with pace.slot():
            raise ValueError
    except ValueError:
        pass

    with pace.slot():
        pass


def test_work_that_can_wait_leaves_a_share_of_the_rate(tenant: Any) -> None:
    """With 80 percent used it waits without holding a place; who has the whole rate goes on."""
    watch = tenant.stopwatch
    pace = Pace(1, sleep=watch.sleep, now=watch.now)
    allowed = REQUESTS_PER_WINDOW // 5
    with pace.slot(allowed * 8 // 10, share_percent=80):
        pass

    with pace.slot():
        pass
    assert watch.pauses == []
    with pace.slot(share_percent=80):
        pass

    assert watch.pauses
    assert pace.usage() == (1, allowed)
