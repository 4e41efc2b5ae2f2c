"""The sandbox's clock: real time that can be moved, or stopped."""

from datetime import UTC, date, datetime, timedelta


class SandboxClock:
    """The only source of time in a system of the sandbox."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._frozen_at: datetime | None = None

    def now(self) -> datetime:
        """The sandbox's present instant, aware and in UTC."""
        if self._frozen_at is not None:
            return self._frozen_at
        return datetime.now(UTC) + self._offset

    def today(self) -> date:
        """The sandbox's present day in UTC."""
        return self.now().date()

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen_at is not None

    def move(self, by: timedelta | None = None, to: datetime | None = None) -> datetime:
        """Move by a span or to an instant, and say what time it is then."""
        if (by is None) == (to is None):
            raise ValueError("give either a span or an instant")
        if to is not None:
            if to.tzinfo is None:
                raise ValueError("the instant needs a time zone")
            target = to.astimezone(UTC)
        else:
            assert by is not None  # noqa: S101 - the check above
            target = self.now() + by
        if self._frozen_at is not None:
            self._frozen_at = target
        self._offset = target - datetime.now(UTC)
        return self.now()

    def freeze(self) -> datetime:
        """Stop the clock at the present instant."""
        self._frozen_at = self.now()
        return self._frozen_at

    def run(self) -> datetime:
        """Let a stopped clock go on from where it stood."""
        if self._frozen_at is not None:
            self._offset = self._frozen_at - datetime.now(UTC)
            self._frozen_at = None
        return self.now()

    def dump(self) -> tuple[timedelta, datetime | None]:
        """The clock's setting, for a snapshot."""
        return self._offset, self._frozen_at

    def restore(self, setting: tuple[timedelta, datetime | None]) -> None:
        """Set the clock as a snapshot had it."""
        self._offset, self._frozen_at = setting
