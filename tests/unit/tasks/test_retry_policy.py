"""Only faults that may pass are retried."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Failed

from ml_connector.errors import (
    AuthenticationError,
    ContractError,
    OutcomeUnknown,
    RateLimited,
    RecordRejected,
    TransientError,
)
from tasks.retry_policy import is_transient

NOBODY: Any = None
RUN: Any = SimpleNamespace(name="order 00000101")


@pytest.mark.parametrize("fault", [TransientError("x"), RateLimited("x"), OutcomeUnknown("x")])
async def test_transient_faults_are_retried(fault: Exception) -> None:
    """A time-out, a full service or a lost answer gets another attempt."""
    assert await is_transient(NOBODY, RUN, Failed(data=fault))


@pytest.mark.parametrize(
    "fault",
    [AuthenticationError("x"), RecordRejected("x"), ContractError("x"), ValueError("x")],
)
async def test_other_faults_are_not_retried(fault: Exception) -> None:
    """What a repetition cannot cure fails at once."""
    assert not await is_transient(NOBODY, NOBODY, Failed(data=fault))
