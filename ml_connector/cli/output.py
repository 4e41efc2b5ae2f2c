"""How a command ends: one JSON document or a readable text, and an exit code."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn, TextIO

import typer
from rich.console import Console

from ml_connector.cli.prefect_environment import prepare_environment
from ml_connector.errors import ConfigurationError, ConnectorError

log = logging.getLogger("ml_connector")

DONE = 0
STUCK = 1
DID_NOT_RUN = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found: the JSON document, the exit code, and how to say it in text."""

    document: dict[str, Any]
    exit_code: int
    say: Callable[[Console], None]


def run_command(work: Callable[[], Awaitable[Result]], *, as_json: bool) -> NoReturn:
    """Run *work* with Prefect set up, print its result and end the process with its exit code.

    With *as_json* standard output carries exactly one document; everything else that the process or
    a server it starts prints goes to standard error.
    """
    with standard_output(reserved=as_json) as out:
        with _sign_of_life(wanted=not as_json):
            result = _result_of(work)
        _print(result, out, as_json=as_json)
    raise typer.Exit(result.exit_code)


def run_plain(work: Callable[[], Result], *, as_json: bool) -> NoReturn:
    """Run *work*, which needs no Prefect, and end the process as `run_command` does."""
    with standard_output(reserved=as_json) as out:
        try:
            result = work()
        except ConnectorError as error:
            result = failure(error)
        _print(result, out, as_json=as_json)
    raise typer.Exit(result.exit_code)


def _print(result: Result, out: TextIO, *, as_json: bool) -> None:
    if as_json:
        out.write(json.dumps(result.document, ensure_ascii=False, default=str) + "\n")
        out.flush()
    else:
        failed = "error" in result.document
        result.say(Console(stderr=True) if failed else Console(file=out))


def run_service(work: Callable[[TextIO], Awaitable[Result]], *, as_json: bool) -> NoReturn:
    """Run *work* until it ends; it writes to the given stream when it is ready.

    A failure is printed as every command prints it, and nothing is printed at a good end.
    """
    with standard_output(reserved=as_json) as out:
        result = _result_of(lambda: work(out))
        if "error" in result.document:
            if as_json:
                out.write(json.dumps(result.document, ensure_ascii=False, default=str) + "\n")
                out.flush()
            else:
                result.say(Console(stderr=True))
    raise typer.Exit(result.exit_code)


def _result_of(work: Callable[[], Awaitable[Result]]) -> Result:
    signal.signal(signal.SIGTERM, _leave)
    try:
        prepare_environment()
        return asyncio.run(_awaited(work))
    except ConnectorError as error:
        return failure(error)
    except Exception as error:  # noqa: BLE001  # the outermost loop: one message, no stack for a person
        return failure(_explained(error))


async def _awaited(work: Callable[[], Awaitable[Result]]) -> Result:
    from prefect import tags

    # By this tag automations know runs that no deployment started.
    with tags("started-by:command"):
        return await work()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    raise SystemExit(128 + number)


def said_of(error: ConnectorError) -> dict[str, Any]:
    """Return what a document says of an error."""
    return {"code": error.code, "message": error.message, "remedy": error.remedy}


def failure(error: ConnectorError) -> Result:
    """Return the result of a command that did not run."""
    document = {"error": said_of(error)}

    def say(console: Console) -> None:
        console.print("error:", style="bold red", end=" ")
        console.print(error.message, markup=False, highlight=False)
        console.print(error.remedy, markup=False, highlight=False)

    return Result(document, DID_NOT_RUN, say)


def _explained(error: Exception) -> ConnectorError:
    """Return an error of a library as one that tells a person what to do."""
    import httpx
    from prefect.exceptions import PrefectException, PrefectHTTPStatusError

    address = os.environ.get("PREFECT_API_URL", "")
    unreachable = isinstance(error, httpx.TransportError) or "Failed to reach API" in str(error)
    if unreachable:
        return ConfigurationError(
            f"The Prefect API does not answer{f' at {address}' if address else ''}.",
            system="prefect",
            code="prefect_unreachable",
            remedy="Start the Prefect server, or correct PREFECT_API_URL.",
        )
    if isinstance(error, PrefectHTTPStatusError):
        return ConfigurationError(
            f"The Prefect API refused a request with status {error.response.status_code}.",
            system="prefect",
            code="prefect_refused",
            remedy="Check PREFECT_API_AUTH_STRING, and that the server has the key it had.",
        )
    if isinstance(error, PrefectException):
        return ConfigurationError(
            f"Prefect could not do it: {type(error).__name__}: {error}",
            system="prefect",
            code="prefect",
            remedy="See the server's log.",
        )
    log.error("unexpected error", exc_info=error)
    return ConnectorError(
        f"An unexpected {type(error).__name__} ended the command.",
        code="unexpected",
        remedy="Report it with the stack above.",
    )


@contextmanager
def _sign_of_life(*, wanted: bool) -> Iterator[None]:
    """Show on a terminal that the command is at work."""
    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield
        return
    with console.status("working"):
        yield


@contextmanager
def standard_output(*, reserved: bool) -> Iterator[TextIO]:
    """Give the stream for results; when *reserved*, nothing else can reach standard output."""
    if not reserved:
        yield sys.stdout
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(kept, "w", encoding="utf-8") as out:
            yield out
    finally:
        # Servers and late log lines may still write: file descriptor 1 stays with standard error.
        sys.stdout = sys.stderr
