"""Preflight of the clocks: this computer's and both services'."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from ml_connector.exchange.check_line import CheckLine, Level, fine
from ml_connector.exchange.systems import Systems

TOLERATED = timedelta(seconds=60)
"""More than a slow answer can explain, less than any overlap of the polls."""


def clock_lines(systems: Systems) -> Iterator[CheckLine]:
    """Compare the Date of the services' last answers with this computer's time; calls nobody."""
    for code, name, offset in (
        ("salesforce", "Salesforce", systems.salesforce.clock_offset),
        ("business_central", "Business Central", systems.business_central.clock_offset),
    ):
        if offset is None:
            continue
        if abs(offset) <= TOLERATED:
            yield fine(f"{code}_clock", f"This computer's clock agrees with that of {name}.")
            continue
        behind = "behind" if offset > timedelta() else "ahead of"
        yield CheckLine(
            f"{code}_clock",
            Level.WARNING,
            f"This computer's clock is {abs(int(offset.total_seconds()))} s {behind} that of "
            f"{name}: leases, due dates and lags are reckoned wrongly.",
            "Let this computer take its time from the network.",
            "this computer: NTP (timedatectl set-ntp true)",
        )
