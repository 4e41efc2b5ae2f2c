"""The fault plan: what goes wrong, on which requests, how often."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SELECTORS = {"id", "method", "path", "body", "kind", "skip", "times", "probability", "seed"}
_ACTIONS = ("status", "delay_seconds", "drop", "truncate", "expire_session", "switch")
_ANSWER_KEYS = {
    "status",
    "code",
    "message",
    "retry_after",
    "headers",
    "body_text",
    "content_type",
    "after_commit",
}


class FaultRuleError(ValueError):
    """The rule cannot be understood."""


@dataclass(slots=True)
class FaultRule:
    """One rule of the plan: which requests it hits and what happens to them."""

    rule_id: str
    source: dict[str, Any]
    action: str
    method: str | None
    path: re.Pattern[str] | None
    body: re.Pattern[str] | None
    kind: str | None
    skip: int
    times: int | None
    probability: float | None
    chance: random.Random
    seen: int = 0
    fired: int = 0

    def hits(self, method: str, target: str, body: bytes, kind: str) -> bool:
        """Whether this request is one of the rule's."""
        if self.times is not None and self.fired >= self.times:
            return False
        if self.method is not None and self.method != method:
            return False
        if self.kind is not None and self.kind != kind:
            return False
        if self.path is not None and not self.path.search(target):
            return False
        return self.body is None or bool(self.body.search(body.decode("utf-8", "replace")))

    def fires(self) -> bool:
        """Count a hit and say whether the rule acts on it."""
        self.seen += 1
        if self.seen <= self.skip:
            return False
        if self.probability is not None and self.chance.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def value(self, key: str, default: Any = None) -> Any:
        """A setting of the rule as it was given."""
        return self.source.get(key, default)


@dataclass(slots=True)
class FaultPlan:
    """Rules in the order they were given; the first that fires on a request acts alone.

    `shortcuts` are the system's named rules, used as `{"shortcut": "lock_row", ...}`.
    """

    shortcuts: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: list[FaultRule] = field(default_factory=list)
    added: int = 0

    def add(self, source: Mapping[str, Any]) -> FaultRule:
        """Add a rule; raises FaultRuleError when it makes no sense."""
        rule = self._parse(dict(source))
        self.rules.append(rule)
        return rule

    def remove(self, rule_id: str | None = None) -> None:
        """Remove one rule, or all."""
        self.rules = [
            rule for rule in self.rules if rule_id is not None and rule.rule_id != rule_id
        ]

    def find(self, method: str, target: str, body: bytes, kind: str) -> FaultRule | None:
        """The rule that acts on this request, if one does."""
        for rule in self.rules:
            if rule.hits(method, target, body, kind) and rule.fires():
                return rule
        return None

    def listing(self) -> list[dict[str, Any]]:
        """The rules with how often they were met and acted."""
        return [
            {**rule.source, "id": rule.rule_id, "seen": rule.seen, "fired": rule.fired}
            for rule in self.rules
        ]

    def _parse(self, source: dict[str, Any]) -> FaultRule:
        name = source.pop("shortcut", None)
        if name is not None:
            if name not in self.shortcuts:
                raise FaultRuleError(f"no shortcut {name}; there are {sorted(self.shortcuts)}")
            source = {**self.shortcuts[name], **source}
        actions = [action for action in _ACTIONS if action in source]
        if len(actions) != 1:
            raise FaultRuleError(f"a rule has exactly one of {', '.join(_ACTIONS)}")
        action = actions[0]
        # "body" selects by the request's text; the answer's text is "body_text".
        allowed = _SELECTORS | (_ANSWER_KEYS if action == "status" else {action})
        unknown = sorted(set(source) - allowed)
        if unknown:
            raise FaultRuleError(
                f"unknown keys {unknown}; with {action} there are {sorted(allowed)}"
            )
        if action == "drop" and source["drop"] not in ("before", "after"):
            raise FaultRuleError("drop is before or after")
        self.added += 1
        times = source.get("times", 1)
        probability = source.get("probability")
        try:
            return FaultRule(
                rule_id=str(source.get("id", self.added)),
                source=source,
                action=action,
                method=source["method"].upper() if "method" in source else None,
                path=re.compile(source["path"]) if "path" in source else None,
                body=re.compile(source["body"], re.DOTALL) if "body" in source else None,
                kind=source.get("kind"),
                skip=int(source.get("skip", 0)),
                times=None if times is None else int(times),
                probability=None if probability is None else float(probability),
                chance=random.Random(source.get("seed", 0)),
            )
        except (re.error, TypeError, ValueError, AttributeError) as error:
            raise FaultRuleError(f"the rule has a wrong value: {error}") from error
