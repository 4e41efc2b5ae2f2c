"""Faults of the vendors, by chance: lost, cut off and refused answers, locks, dead sessions."""

from __future__ import annotations

import random

from tests.examination.world import Body


def fault_rule(chance: random.Random, system: str) -> Body:
    """Return a rule for the fault plan of *system*: which call, and what happens to it."""
    central = system == "business-central"
    where: Body = chance.choice(
        [
            {"method": "POST", "path": "salesOrders"},
            {"method": "POST", "path": r"Microsoft\.NAV\.post"},
            {"method": "POST", "path": "(customers|contacts)$"},
            {"method": "PATCH"},
            {"method": "POST", "path": "batch"},
            {"method": "GET", "skip": chance.randint(0, 40)},
        ]
        if central
        else [
            {"method": "PATCH", "path": "composite"},
            {"method": "PATCH", "path": "composite"},
            {"method": "GET", "skip": chance.randint(0, 20)},
        ]
    )
    has_no_version = where["method"] == "GET" or where.get("path") == "batch"
    locked = {"shortcut": "etag_conflict"} if central else {"shortcut": "lock_row"}
    what: Body = chance.choice(
        [
            {"drop": "after"},
            {"drop": "after"},
            {"drop": "before"},
            {"truncate": chance.randint(1, 60)},
            {"status": chance.choice((502, 504)), "after_commit": chance.random() < 0.5},
            {"status": chance.choice((429, 500, 502, 503, 504))},
            {"expire_session": True},
            {"drop": "before"} if has_no_version else locked,
        ]
    )
    return {"skip": chance.randint(0, 4), "times": chance.randint(1, 3), **where, **what}
