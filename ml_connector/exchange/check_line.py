"""One finding of the preflight."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters: `ok` and `notice` need nobody, `blocking` stops every run."""

    OK = "ok"
    NOTICE = "notice"
    WARNING = "warning"
    BLOCKING = "blocking"


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One finding; `code` is stable, `remedy` is empty on an ok line."""

    code: str
    level: Level
    message: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the line as `check --json` prints it."""
        return {
            "code": self.code,
            "level": str(self.level),
            "message": self.message,
            "remedy": self.remedy,
        }
