"""One finding of the preflight, and how a look that fails becomes one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from ml_connector.errors import ConnectorError


class Level(StrEnum):
    """How much a finding matters: `ok` and `notice` need nobody, `blocking` stops every run."""

    OK = "ok"
    NOTICE = "notice"
    WARNING = "warning"
    BLOCKING = "blocking"


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One finding; `code` is stable, `remedy` and `page` are empty on an ok line.

    `page` is where the remedy is carried out: a path in Salesforce's Setup, a page of Business
    Central, the connection file. `refused_by` names the system when it refused our credentials.
    """

    code: str
    level: Level
    message: str
    remedy: str = ""
    page: str = ""
    refused_by: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the line as `check --json` prints it."""
        return {
            "code": self.code,
            "level": str(self.level),
            "message": self.message,
            "remedy": self.remedy,
            "page": self.page,
        }


def fine(code: str, message: str) -> CheckLine:
    """Return a line that needs nobody."""
    return CheckLine(code, Level.OK, message)


def examined(code: str, subject: str, look: Callable[[], Iterator[CheckLine]]) -> list[CheckLine]:
    """Return what *look* finds; when a vendor refuses the look itself, that is one more notice.

    A refused look proves nothing about the set-up, so it neither warns nor blocks.
    """
    lines: list[CheckLine] = []
    try:
        lines.extend(look())
    except ConnectorError as error:
        lines.append(
            CheckLine(
                f"{code}_not_examined",
                Level.NOTICE,
                f"{subject} could not be examined: {error.message}",
                error.remedy,
            )
        )
    return lines
