"""Numbers about the receiver in the text form that Prometheus reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of answer times in seconds; BC gives up a handshake after about five."""


class Metrics:
    """Counters since the start of the process; used by one event loop."""

    def __init__(self) -> None:
        self.items: Counter[str] = Counter()
        """Items of notifications by what became of them."""
        self.refused: Counter[str] = Counter()
        """Requests that were refused, by reason."""
        self.answers: Counter[int] = Counter()
        self.handshakes = 0
        self.last_stored_at = 0.0
        self._seconds: Counter[float] = Counter()
        self._total = 0.0

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer and how long it took."""
        self.answers[status] += 1
        self._total += seconds
        for bound in BUCKETS:
            if seconds <= bound:
                self._seconds[bound] += 1

    def text(self) -> str:
        """Return every number in the exposition format."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        prefix = "ml_connector_receiver"
        yield f"# TYPE {prefix}_items_total counter"
        for outcome, number in sorted(self.items.items()):
            yield f'{prefix}_items_total{{outcome="{outcome}"}} {number}'
        yield f"# TYPE {prefix}_refused_total counter"
        for reason, number in sorted(self.refused.items()):
            yield f'{prefix}_refused_total{{reason="{reason}"}} {number}'
        yield f"# TYPE {prefix}_answers_total counter"
        for status, number in sorted(self.answers.items()):
            yield f'{prefix}_answers_total{{status="{status}"}} {number}'
        yield f"# TYPE {prefix}_handshakes_total counter"
        yield f"{prefix}_handshakes_total {self.handshakes}"
        yield f"# TYPE {prefix}_last_stored_timestamp_seconds gauge"
        yield f"{prefix}_last_stored_timestamp_seconds {self.last_stored_at:.3f}"
        yield f"# TYPE {prefix}_answer_seconds histogram"
        for bound in BUCKETS:
            yield f'{prefix}_answer_seconds_bucket{{le="{bound}"}} {self._seconds[bound]}'
        total = sum(self.answers.values())
        yield f'{prefix}_answer_seconds_bucket{{le="+Inf"}} {total}'
        yield f"{prefix}_answer_seconds_sum {self._total:.6f}"
        yield f"{prefix}_answer_seconds_count {total}"
