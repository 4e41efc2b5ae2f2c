"""Saved plans: kept in the ledger or a file, and refused when they are no longer true."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_connector.errors import ConfigurationError, GuardTripped
from ml_connector.exchange.plan import FORMAT, Plan, make_plan
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.transaction import Transaction

_NAMED = 3

KEPT = 5
"""So many plans of a connection are kept for being applied by their id; older ones are gone."""

_PLANS = "plans"
_SHORTEST_ID = 8


def save_plan(plan: Plan, path: Path) -> None:
    """Write *plan* to *path*, for its owner alone, since it shows customers and amounts.

    Raises: ConfigurationError code `plan_file` when the file cannot be written.
    """
    text = json.dumps(plan.to_json(), ensure_ascii=False, indent=1, default=str)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise _unusable(path, f"cannot be written: {error.strerror}") from error


def load_plan(path: Path, connection: str) -> dict[str, Any]:
    """Return the saved plan of *connection*.

    Raises: ConfigurationError code `plan_file` when it is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _unusable(path, "is no JSON") from error
    if not isinstance(document, dict) or document.get("plan_format") != FORMAT:
        raise _unusable(path, "is no plan of this version")
    if document.get("connection") != connection:
        raise _unusable(path, f"is a plan of the connection {document.get('connection')}")
    return document


def keep_plan(systems: Systems, plan: Plan) -> str:
    """Keep *plan* in the ledger and return the id by which a run can apply it.

    Effect: one row of the ledger, with what `require_fresh` needs; the oldest kept plan goes.
    """
    plan_id = plan.report.flow_run_id
    document = {
        "plan_id": plan_id,
        "plan_format": FORMAT,
        "connection": systems.settings.name,
        "policy_version": plan.policy_version,
        "changes": [
            {
                "kind": str(change.kind),
                "salesforce_id": change.salesforce_id,
                "salesforce_number": change.salesforce_number,
            }
            for change in plan.changes
        ],
        "basis": [dict(row) for row in plan.basis],
    }
    with systems.ledger.transaction() as tx:
        kept = list(systems.ledger.recall(_PLANS) or ())
        tx.remember(_PLANS, [*kept, document][-KEPT:])
    return plan_id


def forget_plans(tx: Transaction) -> None:
    """Forget every kept plan: they name the people and companies they would touch."""
    tx.remember(_PLANS, [])


def kept_plan(systems: Systems, plan_id: str) -> dict[str, Any]:
    """Return the kept plan whose id is, or begins with, *plan_id*.

    Raises: ConfigurationError code `unknown_plan` when there is none.
    """
    wanted = plan_id.strip().lower()
    kept = list(systems.ledger.recall(_PLANS) or ())
    found = [each for each in kept if str(each["plan_id"]).startswith(wanted)]
    if len(wanted) < _SHORTEST_ID or len(found) != 1 or found[0]["plan_format"] != FORMAT:
        raise ConfigurationError(
            f"No plan {plan_id!r} is kept for {systems.settings.name}.",
            code="unknown_plan",
            remedy=f"The newest {KEPT} are: plan again, and give the id that the plan names.",
        )
    document: dict[str, Any] = found[0]
    return document


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The plan {path} {why}.",
        code="plan_file",
        remedy="Name a file that `ml-connector sync NAME --plan --out FILE` has written.",
    )


def require_fresh(systems: Systems, saved: Mapping[str, Any]) -> Plan:
    """Make sure that what *saved* was concluded from still holds, by planning again.

    Effect: none. Cost: the reads of a sync. Returns the plan as it is now, equal to the saved one.
    Raises: GuardTripped code `stale_plan` naming what changed: a record on either side, the policy,
    or a record that would be touched and is not in the plan.
    """
    version = systems.settings.policy_version()
    if saved.get("policy_version") != version:
        raise _stale(systems, "the policy was changed")
    plan = make_plan(systems)
    reasons = changed_since(saved, plan)
    if reasons:
        more = f" and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
        raise _stale(systems, "; ".join(reasons[:_NAMED]) + more)
    return plan


def _stale(systems: Systems, why: str) -> GuardTripped:
    name = systems.settings.name
    return GuardTripped(
        f"The plan is stale: {why}. Nothing was written.",
        code="stale_plan",
        remedy=f"Make a new one with `ml-connector sync {name} --plan`, look, and apply that.",
    )


def changed_since(saved: Mapping[str, Any], plan: Plan) -> list[str]:
    """Return, in words, what differs between the basis of a saved plan and that of *plan*."""
    before = {(row["kind"], row["key"]): row for row in saved.get("basis", ())}
    after = {(row["kind"], row["key"]): row for row in plan.basis}
    names = {(change["kind"], change["salesforce_id"]): change for change in saved["changes"]} | {
        (str(change.kind), change.key): change.to_json() for change in plan.changes
    }
    reasons: list[str] = []
    for identity in sorted({*before, *after}):
        why = _difference(before.get(identity), after.get(identity))
        if why:
            kind, key = identity
            number = names.get(identity, {}).get("salesforce_number") or key
            reasons.append(f"{kind} {number} {why}")
    return reasons


def _difference(before: Mapping[str, str] | None, after: Mapping[str, str] | None) -> str:
    if before is None:
        return "is new"
    if after is None:
        return "is dealt with already"
    if before["salesforce"] != after["salesforce"]:
        return "was changed in Salesforce"
    if before["business_central"] != after["business_central"]:
        return "was changed in Business Central"
    return "would be dealt with otherwise" if before["planned"] != after["planned"] else ""
