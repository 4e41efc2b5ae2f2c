"""Notifications at the pace of a busy company, some of them forged."""

from __future__ import annotations

from benchmarks.notification_answers import measure


def test_every_genuine_one_is_stored_before_its_answer_and_no_forged_one_ever() -> None:
    """Under load from eight connections each 202 means stored, and a forged state never is."""
    measured = measure(number=600, per_second=200)

    assert len(measured.seconds) == 600
    assert measured.wrong == []
