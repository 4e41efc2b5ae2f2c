"""`ml-connector up` and `down`: a local stack that stays, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ml_connector.cli.arguments import Json
from ml_connector.cli.output import DONE, Result, run_plain
from ml_connector.cli.prefect_programs import project_folder
from ml_connector.cli.standing_stack import StackFolder, StackSettings
from ml_connector.errors import ConfigurationError

UP_SECONDS = 600.0
DOWN_SECONDS = 120.0

Folder = Annotated[
    Path | None,
    typer.Option("--dir", help="Where its files go; .ml-connector in the checkout without it."),
]


def up(
    folder: Folder = None,
    port: Annotated[int | None, typer.Option(help="Port of the Prefect UI; 4200.")] = None,
    receiver_port: Annotated[
        int | None, typer.Option(help="Port of the receiver of notifications; 8480.")
    ] = None,
    connection: Annotated[
        Path | None,
        typer.Option(help="Connection file of your own systems; without it, a sandbox is started."),
    ] = None,
    listen: Annotated[
        bool | None,
        typer.Option(
            "--listen/--no-listen",
            help="Hand changes over as they happen; else only what you start runs.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start a local stack that stays: Prefect server with login, worker, listener, receiver.

    Started again it only says where everything is. Options are remembered in the folder for the
    next time. `ml-connector down` ends it.
    """
    run_plain(
        lambda: _up(
            _place(folder),
            {
                "port": port,
                "receiver_port": receiver_port,
                "connection_file": str(connection.absolute()) if connection else None,
                "listen": listen,
            },
            quiet=as_json,
        ),
        as_json=as_json,
    )


def down(folder: Folder = None, as_json: Json = False) -> None:
    """End the local stack; nothing of it is left running. Its files stay for the next time."""
    run_plain(lambda: _down(_place(folder)), as_json=as_json)


def _place(folder: Path | None) -> StackFolder:
    chosen = folder or project_folder() / ".ml-connector"
    return StackFolder(chosen.absolute())


def _up(place: StackFolder, options: dict[str, Any], *, quiet: bool) -> Result:
    os.umask(0o077)
    place.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.path.chmod(0o700)
    with place.lock("up", wait=True) or sys.stdin:  # waiting for a lock always gives one
        before = StackSettings.load(place)
        wanted = replace(
            before, **{name: value for name, value in options.items() if value is not None}
        )
        keeper = None
        if not place.is_kept():
            wanted.save(place)
            keeper = _start_keeper(place)
        elif wanted != before:
            raise ConfigurationError(
                "The stack is up with other options.",
                code="stack_differs",
                remedy="Run `ml-connector down` first, then `up` with the new options.",
            )
        state = _wait_until_ready(place, keeper, Console(stderr=True, quiet=quiet))
    document = {key: value for key, value in state.items() if key != "state"}
    return Result(document, DONE, lambda console: _say(console, document))


def _start_keeper(place: StackFolder) -> subprocess.Popen[bytes]:
    place.tell({"state": "starting", "step": "keeper"})
    with (place.path / "keeper.log").open("a", encoding="utf-8") as log:
        return subprocess.Popen(  # noqa: S603  # our own interpreter, no shell
            [sys.executable, "-m", "ml_connector.cli.standing_stack", str(place.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=place.path,
            start_new_session=True,
        )


def _wait_until_ready(
    place: StackFolder, keeper: subprocess.Popen[bytes] | None, console: Console
) -> dict[str, Any]:
    deadline = time.monotonic() + UP_SECONDS
    step = ""
    while time.monotonic() < deadline:
        lives = place.is_kept() if keeper is None else keeper.poll() is None
        state = place.state()
        if state["state"] == "ready":
            return state
        if state["state"] == "failed":
            raise ConfigurationError(state["message"], code=state["code"], remedy=state["remedy"])
        if not lives:
            break
        if state.get("step", "") != step:
            step = state["step"]
            console.print(f"starting: {step}", markup=False, highlight=False)
        time.sleep(0.3)
    raise ConfigurationError(
        "The stack did not come up.",
        code="stack_slow",
        remedy=f"See the logs in {place.path}, then run `ml-connector down` and `up` again.",
    )


def _down(place: StackFolder) -> Result:
    if not place.path.is_dir() or not place.is_kept():
        return _ended(was_up=False)
    keeper = int((place.path / "keeper.lock").read_text(encoding="ascii"))
    os.kill(keeper, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while time.monotonic() < deadline:
        if not place.is_kept():
            return _ended(was_up=True)
        time.sleep(0.2)
    raise ConfigurationError(
        f"The stack did not end within {DOWN_SECONDS:.0f} s.",
        code="stack_slow",
        remedy=f"See {place.path / 'keeper.log'}; its keeper is process {keeper}.",
    )


def _ended(*, was_up: bool) -> Result:
    said = "The stack is down." if was_up else "No stack was up."
    return Result({"was_up": was_up}, DONE, lambda console: console.print(said))


def _say(console: Console, document: dict[str, Any]) -> None:
    name = document["connection"]
    lines = [
        f"The stack is up: {', '.join(document['programs'])}.",
        f"  Prefect UI   {document['ui_url']}, sign in with the line in {document['login_file']}",
        f"  connection   {name}",
    ]
    sandbox = document["sandbox"]
    if sandbox:
        lines += [
            f"  sandbox      Salesforce {sandbox['salesforce_url']},"
            f" Business Central {sandbox['business_central_url']}",
            f"               its admin surface {sandbox['admin_url']}",
        ]
    lines += [
        f"  your shell   . {document['environment_file']}",
        f"               ml-connector sync {name}",
        "  the end      ml-connector down",
    ]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
