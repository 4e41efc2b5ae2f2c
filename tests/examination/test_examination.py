"""The short sweep: killed, cut off, refused, raced and edited, and yet exactly once.

A failing seed is looked into with `python -m tests.examination --first SEED --runs 1 --verbose`.
"""

import pytest

from tests.examination.examination import Examination

SEEDS = range(1, 13)
SEEDS_WITHOUT_LEDGER = range(501, 506)
SEEDS_ON_POSTGRESQL = range(701, 705)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_or_doubled(examination: Examination, seed: int) -> None:
    """After all trouble both systems and the ledger agree, and a further run writes nothing."""
    result = examination.run(seed)

    assert result.passed, str(result)


@pytest.mark.parametrize("seed", SEEDS_WITHOUT_LEDGER)
def test_a_lost_or_old_ledger_doubles_nothing(examination: Examination, seed: int) -> None:
    """Deleted or set back to an older copy: links are found again, nothing is written twice."""
    result = examination.run(seed, loses_ledger=True)

    assert result.passed, str(result)


@pytest.mark.postgres
@pytest.mark.parametrize("seed", SEEDS_ON_POSTGRESQL)
def test_nothing_is_lost_or_doubled_on_postgresql(
    examination: Examination, postgres_ledger: str, seed: int
) -> None:
    """The same with the ledger on PostgreSQL."""
    result = examination.run(seed, ledger_url=postgres_ledger)

    assert result.passed, str(result)
