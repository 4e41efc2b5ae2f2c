"""The reference page names everything there is to switch and to do."""

from pathlib import Path

import pytest

from ml_connector.sandbox.business_central.company import Identity
from ml_connector.sandbox.business_central.switches import SWITCHES
from ml_connector.sandbox.business_central.system import SHORTCUTS, BusinessCentral
from ml_connector.sandbox.frame.application import Frame

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "sandbox-business-central.md"
ACTS = BusinessCentral(Frame(), Identity()).clerk.acts()


@pytest.mark.parametrize("name", [*SWITCHES, *ACTS, *SHORTCUTS])
def test_named(name: str) -> None:
    """Each switch, act and fault shortcut is on the page."""
    assert f"`{name}`" in PAGE.read_text()
