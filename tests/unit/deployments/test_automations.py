"""The automations as files: settings filled in, numbers compared, nothing left open."""

from __future__ import annotations

import fnmatch
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deployments.automations.installing import (
    PREFIX,
    AutomationSettings,
    _automation,
    _Target,
    shipped,
)
from deployments.automations.numbers import more_than
from tasks import changes, connector_events


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_a_number_is_above_when_a_pattern_fits(limit: int, number: int) -> None:
    """Prefect compares labels by shell patterns only, and the comparison is still exact."""
    fits = any(fnmatch.fnmatchcase(str(number), pattern) for pattern in more_than(limit))

    assert fits == (number > limit)


@pytest.mark.parametrize("limit", [0, 9, 10, 99, 100, 999])
def test_the_limit_itself_is_not_above(limit: int) -> None:
    """The edges, where a digit is added."""
    patterns = more_than(limit)

    assert not any(fnmatch.fnmatchcase(str(limit), pattern) for pattern in patterns)
    assert any(fnmatch.fnmatchcase(str(limit + 1), pattern) for pattern in patterns)


@pytest.mark.parametrize("text", shipped(), ids=lambda text: yaml.safe_load(text)["name"])
def test_a_file_is_an_automation_of_ours(text: str) -> None:
    """Its name marks it as ours, every setting is filled in, and a message goes to the target."""
    target = _Target("slack-webhook", "00000000-0000-0000-0000-000000000001")
    automation = _automation(text, AutomationSettings(), target)

    assert automation.name.startswith(PREFIX)
    assert automation.description
    assert not re.search(r"\$[a-z]", automation.model_dump_json())
    kinds = {action.type for action in automation.actions}
    assert kinds in ({"send-notification"}, {"change-flow-run-state"})


def test_automations_expect_events_that_are_emitted() -> None:
    """A name of ours that nobody emits would never fire."""
    emitted = {
        value
        for name, value in vars(connector_events).items()
        if name.isupper() and str(value).startswith("ml-connector.")
    } | {changes.FEED_SILENT, changes.FEED_LAG}
    expected = {
        event
        for text in shipped()
        for event in yaml.safe_load(text)["trigger"]["expect"]
        if event.startswith("ml-connector.")
    }

    assert expected
    assert expected <= emitted


def test_without_a_target_nothing_is_sent() -> None:
    """The automation still fires, which the event feed shows."""
    for text in shipped():
        for action in _automation(text, AutomationSettings(), _Target()).actions:
            assert action.type in ("do-nothing", "change-flow-run-state")


def test_a_webhook_gets_json() -> None:
    """Texts with quotes and line ends stay inside their JSON strings."""
    action = _Target("webhook", "00000000-0000-0000-0000-000000000001").action("a", "b")

    assert action["type"] == "call-webhook"
    assert "tojson" in action["payload"]
