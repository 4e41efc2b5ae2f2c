"""A run of the capture as a process of its own: owns the streams, or stands by for them.

Arguments: connection file, ledger file.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydantic import SecretStr

from ml_connector.changes.feed_lease import NAME
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.exchange.systems import Systems
from tasks.batches import Scope
from tasks.changes import capturing


async def capture(file: Path, ledger: Path) -> None:
    """Capture for five minutes; what arrives stays in the inbox."""
    settings = load_connection_file(file).settings.model_copy(
        update={"ledger_url": SecretStr(f"sqlite:///{ledger}")}
    )
    with Systems.open(settings) as systems:
        if systems.ledger.lease_held_until(NAME) is not None:
            sys.stderr.write("standing by\n")
        async with capturing(Scope(systems), minutes=5) as capture:
            async for _ in capture.rounds():
                await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(capture(Path(sys.argv[1]), Path(sys.argv[2])))
