"""One seed of the examination on a Prefect server; `make examination-prefect` runs fifty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examination.on_prefect import PrefectExamination

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SEED_THAT_KILLS_THE_RUN = 2


@pytest.fixture
def prefect_examination(tmp_path: Path) -> Iterator[PrefectExamination]:
    """A server, a worker and a sandbox of its own."""
    examination = PrefectExamination(tmp_path)
    yield examination
    examination.close()


def test_a_killed_run_is_retried_and_nothing_is_doubled(
    prefect_examination: PrefectExamination,
) -> None:
    """The deployed `sync` is killed in the middle; its retry writes only what is missing."""
    result = prefect_examination.run(SEED_THAT_KILLS_THE_RUN)

    assert result.passed, str(result)
    assert any(line.startswith("  done: kill flow") for line in result.story), result.story
    assert "  retried: CRASHED" in result.story, result.story
