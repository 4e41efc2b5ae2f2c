"""The fault plan and what it does to requests on the wire."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from ml_connector.sandbox.frame.fault_plan import FaultPlan, FaultRuleError


def add(echo: Any, **rule: Any) -> None:
    """Add a rule through the admin surface."""
    echo.admin.post("/faults", json=rule).raise_for_status()


def kept(echo: Any) -> list[str]:
    """What the system has kept, read behind its back."""
    return [row["text"] for row in echo.admin.get("/records/texts").json()]


def test_a_status_answers_instead_of_the_system(echo: Any) -> None:
    """A faulty answer has the system's shape, its Retry-After, and no effect."""
    add(echo, method="POST", path="^/texts", status=503, code="BUSY", retry_after=2)
    answer = echo.client.post("/texts", content="a")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["code"] == "BUSY"
    assert kept(echo) == ["seeded"]
    assert echo.client.post("/texts", content="b").status_code == 201


def test_a_status_after_the_commit_hides_the_effect(echo: Any) -> None:
    """With after_commit the record is there although the answer says otherwise."""
    add(echo, method="POST", status=504, after_commit=True, body_text="<html>gateway</html>")
    answer = echo.client.post("/texts", content="a")
    assert (answer.status_code, answer.text) == (504, "<html>gateway</html>")
    assert kept(echo) == ["seeded", "a"]


@pytest.mark.parametrize(("when", "left"), [("before", ["seeded"]), ("after", ["seeded", "a"])])
def test_a_drop_cuts_the_connection(echo: Any, when: str, left: list[str]) -> None:
    """A cut connection gives no answer, and the effect is there only when it came after."""
    add(echo, method="POST", drop=when)
    with pytest.raises(httpx.TransportError):
        echo.client.post("/texts", content="a")
    assert kept(echo) == left
    assert echo.admin.get("/traffic").json()["statuses"]["POST /texts"] == {"dropped": 1}
    assert echo.client.get("/texts").status_code == 200


def test_a_truncated_answer_is_whole_http_and_broken_json(echo: Any) -> None:
    """The answer ends early, with a length that fits it."""
    add(echo, truncate=5)
    answer = echo.client.get("/texts")
    assert (answer.status_code, len(answer.content)) == (200, 5)


def test_skip_times_body_and_delay(echo: Any) -> None:
    """A rule passes over its first hits, acts as often as it says, and looks at bodies."""
    add(echo, body="poison", skip=1, times=2, status=500)
    texts = ["poison 1", "fine", "poison 2", "poison 3", "poison 4"]
    statuses = [echo.client.post("/texts", content=text).status_code for text in texts]
    assert statuses == [201, 201, 500, 500, 201]
    rule = echo.admin.get("/faults").json()["rules"][0]
    assert (rule["seen"], rule["fired"]) == (3, 2)
    echo.admin.delete("/faults")
    add(echo, delay_seconds=0.3)
    assert echo.client.get("/texts").elapsed.total_seconds() >= 0.3


def test_sessions_switches_and_shortcuts(echo: Any) -> None:
    """A rule can end the sessions, turn a switch, or be one of the system's named ones."""
    add(echo, expire_session=True)
    echo.client.get("/texts")
    assert echo.admin.get("/state").json()["sessions"] == 0
    add(echo, switch={"colour": "blue"})
    assert echo.client.get("/texts").json()["colour"] == "blue"
    add(echo, shortcut="busy", method="GET")
    assert echo.client.get("/texts").status_code == 503


def test_a_full_gate_refuses_and_latency_counts_inside(echo: Any) -> None:
    """While one request waits in the latency, the next finds the gate full."""
    echo.admin.post("/latency", json={"seconds": 0.3}).raise_for_status()
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: echo.client.get("/narrow").status_code, range(2)))
    assert sorted(answers) == [200, 429]
    assert echo.admin.get("/traffic").json()["highest"] == 2


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"status": 500, "drop": "after"},
        {"status": 500, "colour": "red"},
        {"drop": "sometimes"},
        {"path": "(", "status": 500},
        {"shortcut": "nothing"},
        {"times": "many", "status": 500},
    ],
)
def test_a_senseless_rule_is_refused(rule: dict[str, Any]) -> None:
    """A rule that cannot work is refused when it is given, not ignored."""
    with pytest.raises(FaultRuleError):
        FaultPlan().add(rule)


def test_probability_is_repeatable() -> None:
    """The same seed lets the same requests fail."""
    runs = []
    for _ in range(2):
        plan = FaultPlan()
        plan.add({"status": 500, "times": None, "probability": 0.3, "seed": 7})
        runs.append([plan.find("GET", "/", b"", "x") is not None for _ in range(200)])
    assert runs[0] == runs[1]
    assert 30 < sum(runs[0]) < 90
