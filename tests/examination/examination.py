"""One seeded examination: kill, drop, refuse, race and edit; then let it rest and compare."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.configuration.settings import ConnectionSettings
from tests.examination.checker import Checker, Expected
from tests.examination.faults import fault_rule
from tests.examination.feeds import FeedTrouble
from tests.examination.points import Event
from tests.examination.workers import HUNG, Ahead, Job, Worker, run_alone
from tests.examination.world import People, World

START = "examination"
SETTLE = 600
AFTER_A_LEASE = 400
AFTER_SETTLING = 700
RUNS_TO_REST = 8
KEEP_ALIVE_SECONDS = 0.2
"""A stream is known to live once it was heard of."""

SANDBOX_ARGUMENTS = (
    "--plain", "--customers", "4", "--items", "5", "--orders", "6", "--lines", "2", "--seed", "7",
)  # fmt: skip


@dataclass
class Result:
    """What one examination found, and what it did to find it."""

    seed: int
    complaints: list[str]
    story: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.complaints

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}:", *self.complaints, "story:", *self.story])


def settings_for(connection_file: str, ledger_url: str) -> ConnectionSettings:
    """Return the settings of a connection to the sandbox with a ledger at *ledger_url*."""
    settings = load_connection_file(Path(connection_file)).settings
    central = settings.business_central.model_copy(update={"settle_seconds": SETTLE})
    return settings.model_copy(
        update={"business_central": central, "ledger_url": SecretStr(ledger_url)}
    )


def keep_start(world: World) -> None:
    """Keep the present state of the sandbox as the one every examination starts from.

    The workers come quickly one after another and wait for nothing, so BC's rate is lifted: 429
    comes from the fault plan.
    """
    world.post("/business-central/switches", {"rate_scale": 0})
    world.post("/snapshot", {"name": START})


class Examination:
    """Examinations of one sandbox, one after another."""

    def __init__(self, world: World, connection_file: str, folder: Path) -> None:
        self.world = world
        self._connection_file = connection_file
        self._folder = folder

    def run(self, seed: int, *, ledger_url: str = "", loses_ledger: bool = False) -> Result:
        """Examine with *seed*; the ledger is a new SQLite file when none is named.

        With *loses_ledger* it is deleted, or set back to an older copy, between two runs.
        """
        folder = self._folder / f"seed{seed}"
        folder.mkdir()
        try:
            url = ledger_url or f"sqlite:///{folder / 'ledger.db'}"
            settings = settings_for(self._connection_file, url)
            return _Case(self.world, settings, folder, seed, loses_ledger).run()
        finally:
            shutil.rmtree(folder)


class _Case:
    def __init__(
        self,
        world: World,
        settings: ConnectionSettings,
        folder: Path,
        seed: int,
        loses_ledger: bool,
    ) -> None:
        self._world = world
        self._folder = folder
        self._chance = random.Random(seed)
        self._settings = settings
        self._people = People(world, self._chance)
        self._feeds = FeedTrouble(world, self._people, self._chance)
        self._ahead = Ahead()
        self._loses_ledger = loses_ledger
        self._copies: list[Path] = []
        self._has_listened = False
        # On PostgreSQL leases end by the server's clock, which nobody moves.
        self._can_outlast_leases = settings.ledger_url_text().startswith("sqlite")
        self.result = Result(seed, [])

    def run(self) -> Result:
        world = self._world
        world.restore(START)
        self._choose_readings()
        before = {row["number"] for row in world.business_central("customers")}
        for _ in range(self._chance.randint(2, 4)):
            self._trouble()
            self._round()
            world.no_faults()
            for _ in range(self._chance.randint(0, 3)):
                self._people.do_something()
                self._tell(self._people.log[-1] if self._people.log else "")
            self._later(self._chance.choice((1, 60, AFTER_SETTLING)))
            if self._loses_ledger:
                self._lose_ledger()
        self._people.settle()
        if self._rest():
            edited = self._people.edited
            uncertain = edited if self._loses_ledger else set()
            expected = Expected(edited, self._people.touched, before, uncertain)
            url = self._settings.ledger_url_text()
            self.result.complaints += Checker(world, url, expected).check()
        return self.result

    def _tell(self, text: str) -> None:
        self.result.story.append(text)

    def _later(self, seconds: float) -> None:
        self._ahead.move(seconds)
        self._world.later(seconds)

    def _lose_ledger(self) -> None:
        """Delete the ledger, or set it back to an older copy; or keep it and make a copy."""
        path = Path(self._settings.ledger_url_text().removeprefix("sqlite:///"))
        what = self._chance.choice(("copy", "delete", "restore"))
        if what == "copy" or (what == "restore" and not self._copies):
            copy = self._folder / f"copy{len(self._copies)}.db"
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            self._copies.append(copy)
            return
        for ending in ("", "-wal", "-shm"):
            Path(f"{path}{ending}").unlink(missing_ok=True)
        if what == "restore":
            shutil.copy(self._chance.choice(self._copies), path)
        self._tell(f"the ledger: {what}")

    def _choose_readings(self) -> None:
        """Choose how the vendors behave where their documentation leaves it open."""
        chance = self._chance
        central = {
            "deep_insert_returns_lines": chance.choice(("with_expand", "never")),
            "manual_nos_customers": chance.random() < 0.7,
            "manual_nos_contacts": chance.random() < 0.7,
            "retry_after_on_429": chance.random() < 0.5,
        }
        if self._loses_ledger:
            # A number from BC's series that no External Id shows yet is known to the ledger alone.
            central |= {"manual_nos_customers": True, "manual_nos_contacts": True}
        sales = {
            "locked_row_status": chance.choice((400, 500)),
            "pubsub_keepalive_seconds": KEEP_ALIVE_SECONDS,
        }
        self._world.post("/business-central/switches", central)
        self._world.post("/salesforce/switches", sales)
        self._tell(f"readings: {central} {sales}")

    # --- what goes wrong ---

    def _trouble(self) -> None:
        for system in ("business-central", "salesforce"):
            rules = [fault_rule(self._chance, system) for _ in range(self._chance.randint(0, 3))]
            if rules:
                self._tell(f"{system}: {rules}")
                self._world.faults(system, rules)

    def _events(self) -> list[Event]:
        chance = self._chance
        events: list[Event] = []
        if chance.random() < 0.75:
            group = chance.choice(("any", "any", "commit", "write", "create", "create"))
            nth = chance.randint(1, {"any": 320, "commit": 160, "write": 60, "create": 14}[group])
            can_freeze = self._can_outlast_leases and group in ("write", "create")
            what = "stop" if can_freeze and chance.random() < 0.4 else "kill"
            events.append(Event(group, nth, what))  # type: ignore[arg-type]
        if chance.random() < 0.4:
            body = self._people.planned_act()
            if body is not None:
                events.append(Event("any", chance.randint(1, 200), "act", body))
        return events

    def _job(self, events: list[Event], *, listens: bool = False) -> Job:
        lanes = self._chance.choice((1, 5))
        central = self._settings.business_central.model_copy(update={"max_in_flight": lanes})
        settings = self._settings.model_copy(update={"business_central": central})
        what = "listener" if listens else "worker"
        self._tell(f"{what} at +{self._ahead.seconds:.0f}s, {lanes} lanes: {events}")
        return Job(settings, self._world.admin_url, events, self._ahead, listens)

    def _disturbed_job(self) -> Job:
        """A run of the main job, or one time in three of the change feeds, with its trouble."""
        if self._chance.random() < 0.67:
            return self._job(self._events())
        self._has_listened = True
        self.result.story += self._feeds.begin()
        return self._job(self._events() + self._feeds.events(), listens=True)

    def _round(self) -> None:
        """Run one worker, or two at once; a frozen one wakes up when its lease has run out."""
        jobs = [self._disturbed_job() for _ in range(self._chance.choice((1, 1, 2)))]
        workers = [Worker(job, self._folder) for job in jobs]
        frozen: list[Worker] = []
        for worker in workers:
            worker.wait()
            if worker.is_frozen:
                frozen.append(worker)
        for worker in workers:
            if not worker.is_frozen:
                self._note(worker, beside_frozen=bool(frozen))
        if frozen:
            self._note(self._follower())
        for worker in frozen:
            worker.thaw()
            worker.wait()
            self._note(worker)
        if any(job.listens for job in jobs):
            self._feeds.end()

    def _follower(self) -> Worker:
        self._later(self._chance.choice((AFTER_A_LEASE, AFTER_SETTLING)))
        worker = Worker(self._job([]), self._folder)
        worker.wait()
        return worker

    def _note(self, worker: Worker, *, beside_frozen: bool = False) -> None:
        """Note how *worker* ended; waiting for what a frozen one holds locked is no fault."""
        ended = worker.ended()
        self._tell(f"  ended: {ended.how} {ended.trace if ended.how != 'killed' else ''}")
        if ended.how == "broken" and not (beside_frozen and ended.trace == HUNG):
            self.result.complaints.append(f"a run broke: {ended.trace}")

    # --- quiet ---

    def _rest(self) -> bool:
        """Run without trouble until a run writes nothing; tells whether that came.

        Where somebody listened, the listener goes first: what is in the inbox is its to finish.
        """
        written = -1
        for number in range(RUNS_TO_REST):
            self._later(AFTER_SETTLING)
            listens = number == 0 and self._has_listened
            ended = run_alone(self._job([], listens=listens), self._folder)
            if ended.how != "done":
                self.result.complaints.append(f"a quiet run ended {ended.how}: {ended.trace}")
                return False
            count = len(self._world.writes())
            if count == written and not listens:
                return True
            written = count
        last = [f"{w['operation']} {w['entity']} {w['fields']}" for w in self._world.writes()[-3:]]
        self.result.complaints.append(f"it does not come to rest: {last}")
        return False
