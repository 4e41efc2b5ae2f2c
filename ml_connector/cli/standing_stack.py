"""The keeper of a local stack that stays: starts its programs, restarts what ends, ends them all.

`ml-connector up` starts it apart from the shell, `ml-connector down` sends it SIGTERM. It holds a
lock on its folder while it lives, and every program ends with it, even when it is killed.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import secrets
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from ml_connector.cli.local_stack import LocalStack, Program, first_json_line
from ml_connector.cli.prefect_environment import private_text
from ml_connector.cli.prefect_programs import SANDBOX, PrefectPrograms, start_sandbox
from ml_connector.configuration.connection_file import load_connection_file
from ml_connector.errors import ConfigurationError, ConnectorError

log = logging.getLogger("ml_connector")

START_SECONDS = 180.0
LOOK_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0
LASTING_SECONDS = 300.0
"""A program that ran so long is started again without a pause."""

_COMMAND = (sys.executable, "-m", "ml_connector.cli.main")


@dataclass(frozen=True, slots=True)
class StackSettings:
    """What a stack consists of; kept in its folder, so that the next `up` needs no options."""

    port: int = 4200
    receiver_port: int = 8480
    connection_file: str = ""
    """The user's own systems; empty: a sandbox."""
    listen: bool = True

    @classmethod
    def load(cls, place: StackFolder) -> StackSettings:
        """Return the settings kept in the folder, or the defaults."""
        try:
            return cls(**json.loads(place.settings_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls()

    def save(self, place: StackFolder) -> None:
        """Keep the settings for the next time."""
        place.settings_file.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class StackFolder:
    """Where a stack keeps its files; nobody else can read them."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """What the stack consists of."""
        return self.path / "settings.json"

    @property
    def state_file(self) -> Path:
        """How far the keeper is; see `Keeper`."""
        return self.path / "state.json"

    @property
    def login_file(self) -> Path:
        """The one line `user:password` that UI and API ask for."""
        return self.path / "login"

    @property
    def environment_file(self) -> Path:
        """What a shell sources to be a client of the stack."""
        return self.path / "env.sh"

    def state(self) -> dict[str, Any]:
        """Return what the keeper wrote last; empty when it wrote nothing."""
        try:
            document: dict[str, Any] = json.loads(self.state_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return document

    def tell(self, document: dict[str, Any]) -> None:
        """Replace the state in one step, so that no reader sees half of it."""
        draft = self.path / "state.json.new"
        draft.write_text(json.dumps(document) + "\n", encoding="utf-8")
        draft.replace(self.state_file)

    def lock(self, name: str, *, wait: bool = False) -> IO[str] | None:
        """Return the held lock *name*, released when it is closed; None when somebody has it."""
        file = (self.path / f"{name}.lock").open("a", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.close()
            return None
        return file

    def is_kept(self) -> bool:
        """Tell whether a keeper lives."""
        lock = self.lock("keeper")
        if lock is None:
            return True
        lock.close()
        return False


@dataclass(slots=True)
class Kept:
    """A program that is started again when it ends."""

    start: Callable[[], Program]
    program: Program
    began: float = field(default_factory=time.monotonic)
    pause: float = FIRST_PAUSE_SECONDS
    not_before: float = 0.0

    def look(self, stack: LocalStack) -> None:
        """Start the program again when it ended and its pause is over."""
        if self.program.process.poll() is None:
            return
        now = time.monotonic()
        if not self.not_before:
            if now - self.began > LASTING_SECONDS:
                self.pause = FIRST_PAUSE_SECONDS
            log.warning(
                "%s ended with code %s; starting it again in %d s",
                self.program.name,
                self.program.process.returncode,
                int(self.pause),
            )
            self.not_before = now + self.pause
            self.pause = min(self.pause * 2, LONGEST_PAUSE_SECONDS)
        if now >= self.not_before:
            stack.end(self.program)
            self.program, self.began, self.not_before = self.start(), now, 0.0


class Keeper:
    """One standing stack. Its state: `starting` with a step, `ready`, or `failed` with an error."""

    def __init__(self, place: StackFolder) -> None:
        self._place = place
        self._settings = StackSettings.load(place)
        self._stack = LocalStack(place.path)
        login = private_text(place.login_file, lambda: f"admin:{secrets.token_urlsafe(18)}")
        self._prefect = PrefectPrograms(
            self._stack, place.path / "prefect", self._settings.port, login
        )
        self._kept: list[Kept] = []
        self._connection = ""

    async def keep(self) -> None:
        """Start everything, then keep it until cancelled.

        Raises: ConfigurationError when it does not come up, or its sandbox ends.
        """
        _require_free(self._settings.port, "--port")
        _require_free(self._settings.receiver_port, "--receiver-port")
        self._step("Prefect server")
        sandbox = None if self._settings.connection_file else self._start_sandbox()
        server = self._keep(self._prefect.start_server)
        self._prefect.become_client()
        await asyncio.to_thread(self._prefect.wait_for, server, START_SECONDS)
        self._write_environment()
        ready: dict[str, Any] = {}
        if sandbox is not None:
            self._step("sandbox")
            ready = await asyncio.to_thread(first_json_line, sandbox, START_SECONDS)
        file = Path(ready["connection_file"] if ready else self._settings.connection_file)
        await self._connect(file)
        await self._deploy()
        self._keep(lambda: self._prefect.start_worker("local"))
        if self._settings.listen:
            await self._listen(file, ready)
        self._place.tell({"state": "ready", **self._document(ready)})
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if sandbox is not None:
                sandbox.require_running()
            for kept in self._kept:
                kept.look(self._stack)

    def stop(self) -> None:
        """End every program."""
        self._stack.stop()

    def _step(self, text: str) -> None:
        self._place.tell({"state": "starting", "step": text})

    def _keep(self, start: Callable[[], Program]) -> Program:
        kept = Kept(start, start())
        self._kept.append(kept)
        return kept.program

    def _start_sandbox(self) -> Program:
        # Its records are made anew at each start: a ledger of the former ones would not fit.
        shutil.rmtree(self._place.path / SANDBOX, ignore_errors=True)
        url = f"https://127.0.0.1:{self._settings.receiver_port}/notifications"
        return start_sandbox(self._stack, self._prefect.environment, "--notification-url", url)

    async def _connect(self, file: Path) -> None:
        from ml_connector.cli.connect import connect_file

        self._step(f"connect {file.name}")
        self._connection = str((await connect_file(file)).document["connection"])

    async def _deploy(self) -> None:
        from deployments.automations import install_automations

        self._step("deployments")
        first_on = STANDING if self._settings.listen else ()
        await self._prefect.deploy(self._connection, first_on)
        await install_automations()

    async def _listen(self, file: Path, ready: dict[str, Any]) -> None:
        """Start the receiver, subscribe, and listen to change events."""
        self._step("receiver and listener")
        central = load_connection_file(file).settings.business_central
        if central.notification_url:
            port = str(self._settings.receiver_port)
            words = ["receive", self._connection, "--port", port]
            if ready:
                words += ["--certificate", ready["certificate_file"], "--key", ready["key_file"]]
            receiver = self._keep(lambda: self._start_command("receiver", *words))
            await asyncio.to_thread(_wait_for_port, self._settings.receiver_port, receiver)
            await self._subscribe()
        self._keep(lambda: self._start_command("listener", "listen", self._connection))

    async def _subscribe(self) -> None:
        """Start the first renewal; its schedule repeats it."""
        from prefect.deployments import arun_deployment

        await arun_deployment(
            "renew-subscriptions/renew-subscriptions",
            parameters={"connection": self._connection},
            timeout=0,
            as_subflow=False,
        )

    def _start_command(self, name: str, *words: str) -> Program:
        return self._stack.start(
            name,
            [*_COMMAND, *words],
            environment=self._prefect.environment,
            cwd=self._place.path,
        )

    def _write_environment(self) -> None:
        values = {**self._prefect.client, "NO_PROXY": self._prefect.environment["NO_PROXY"]}
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values.items()]
        path = self._place.environment_file
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text("".join(lines), encoding="utf-8")

    def _document(self, ready: dict[str, Any]) -> dict[str, Any]:
        """Return what `up --json` prints; it holds no secret."""
        found: dict[str, Any] = {
            "folder": str(self._place.path),
            "ui_url": self._prefect.ui_url,
            "login_file": str(self._place.login_file),
            "environment_file": str(self._place.environment_file),
            "connection": self._connection,
            "programs": [kept.program.name for kept in self._kept] + ([SANDBOX] if ready else []),
            "sandbox": None,
        }
        if ready:
            found["sandbox"] = {
                "salesforce_url": ready["salesforce"]["url"],
                "business_central_url": ready["business_central"]["url"],
                "admin_url": ready["admin_url"],
                "connection_file": ready["connection_file"],
                "ca_file": ready["ca_file"],
            }
        return found


STANDING = ("renew-subscriptions", "poll-changes", "write-back-status", "check-connections")
"""Deployments whose schedule a listening stack switches on when it makes them."""


def _require_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} is taken by another program.",
                code="port_taken",
                remedy=f"End that program, or choose another port with {option}.",
            ) from error


def _wait_for_port(port: int, program: Program) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        program.require_running()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise ConfigurationError(
        f"{program.name} did not listen after {START_SECONDS:.0f} s.",
        code="program_slow",
        remedy=f"See its log {program.log_file}.",
    )


async def _kept_until_signal(keeper: Keeper) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # asyncio.run gives one
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    await keeper.keep()


def main(folder: str) -> None:
    """Keep the stack in *folder* until SIGTERM; does nothing when somebody keeps it already."""
    os.umask(0o077)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    log.setLevel(logging.INFO)
    place = StackFolder(Path(folder))
    lock = place.lock("keeper")
    if lock is None:
        return
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    keeper = Keeper(place)
    ending: dict[str, Any] = {"state": "down"}
    try:
        asyncio.run(_kept_until_signal(keeper))
    except asyncio.CancelledError:
        log.info("ending")
    except ConnectorError as error:
        log.error("%s %s", error.message, error.remedy)
        ending = {"state": "failed", "code": error.code}
        ending |= {"message": error.message, "remedy": error.remedy}
    except Exception as error:
        log.exception("unexpected")
        ending = {"state": "failed", "code": "unexpected", "message": repr(error)}
        ending["remedy"] = f"See {place.path / 'keeper.log'}."
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        keeper.stop()
        place.tell(ending)
        # Clients of the server that is gone would wait for it.
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
