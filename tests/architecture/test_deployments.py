"""What prefect.yaml says fits the flows there are."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow

from deployments.work_pool import POOL

ROOT = Path(__file__).resolve().parents[2]

FLOWS = {
    "sync",
    "check-connections",
    "align-catalog",
    "ingest-customers",
    "ingest-orders",
    "post-invoices",
    "write-back-status",
    "capture-changes",
    "poll-changes",
    "renew-subscriptions",
    "replay-records",
    "reconcile",
    "audit-record",
}

BY_HAND = {"replay-records", "audit-record"}
"""Started by a person, who says for which records."""


def _deployments() -> list[dict[str, Any]]:
    text = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load(text)["deployments"])


def _flow(deployment: dict[str, Any]) -> Flow[..., Any]:
    module, _, name = deployment["entrypoint"].rpartition(".")
    found = getattr(import_module(module), name)
    assert isinstance(found, Flow)
    return found


def test_every_flow_of_the_contract_is_deployed() -> None:
    """People find each flow under the name the documentation gives it."""
    assert {deployment["name"] for deployment in _deployments()} == FLOWS


@pytest.mark.parametrize("deployment", _deployments(), ids=lambda each: each["name"])
def test_a_deployment_names_a_flow_and_describes_it(deployment: dict[str, Any]) -> None:
    """The entrypoint loads by module path, the flow has the deployment's name, and is async."""
    flow = _flow(deployment)

    assert flow.name == deployment["name"]
    assert flow.isasync
    assert deployment["description"].strip()
    assert "ml-connector" in deployment["tags"]
    assert deployment["schedules"] or deployment["name"] in BY_HAND
    assert deployment["work_pool"]["name"] == "ml-connector"


@pytest.mark.parametrize("deployment", _deployments(), ids=lambda each: each["name"])
def test_every_parameter_is_documented(deployment: dict[str, Any]) -> None:
    """The run form explains each field, and angle brackets do not eat words."""
    properties = _flow(deployment).parameters.properties

    assert properties["connection"]["pattern"] == r"^[a-z0-9-]{1,40}$"
    for parameter in properties.values():
        assert parameter["description"]
        assert "<" not in parameter["description"]


def test_the_work_pool_of_the_code_is_the_one_of_the_file() -> None:
    """The pool the commands make is the one the deployments run in."""
    assert {deployment["work_pool"]["name"] for deployment in _deployments()} == {POOL}
