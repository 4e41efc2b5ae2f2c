"""The reference names everything there is to switch and to do."""

from pathlib import Path

import pytest

from ml_connector.sandbox.business_central.company import Identity
from ml_connector.sandbox.business_central.switches import SWITCHES
from ml_connector.sandbox.business_central.system import SHORTCUTS, BusinessCentral
from ml_connector.sandbox.frame.application import Frame

PAGES = (Path(__file__).parents[3] / "docs" / "reference").glob("sandbox*.md")
TEXT = "".join(page.read_text() for page in PAGES)
ACTS = BusinessCentral(Frame(), Identity()).clerk.acts()


@pytest.mark.parametrize("name", [*SWITCHES, *ACTS, *SHORTCUTS])
def test_named(name: str) -> None:
    """Each switch, act and fault shortcut is on a page of the sandbox."""
    assert f"`{name}`" in TEXT
