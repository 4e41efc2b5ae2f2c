"""Changes on both sides at once are answered once each, and then nothing more is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.examination.echo import LIFTED, examine
from tests.integration.exchange.conftest import connection_to

CHANGES = 60


@pytest.mark.slow
def test_changes_on_both_sides_do_not_echo(new_sandbox: Any, tmp_path: Path) -> None:
    """Writes ÷ true changes is one, both sides agree, and two polls later nothing was added."""
    sandbox = new_sandbox("--customers", "90", "--orders", "10")
    for system, positions in LIFTED.items():
        sandbox.admin.post(f"/{system}/switches", json=positions).raise_for_status()
    result = examine(connection_to(sandbox, tmp_path), CHANGES)

    assert result["writes"] == {"Account": CHANGES, "customers": CHANGES}
    assert result["writes_in_later_cycles"] == [0, 0]
    assert result["agree"]
