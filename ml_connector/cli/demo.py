"""`ml-connector demo`: the whole story on the sandbox, with the Prefect UI up."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ml_connector.cli.local_stack import LocalStack
from ml_connector.errors import ConnectorError

INTERRUPTED = 130
LOG_WIDTH = 140


def demo(
    stay: Annotated[
        bool | None,
        typer.Option(
            "--stay/--leave", help="Keep everything up until Ctrl-C; as a rule only on a terminal."
        ),
    ] = None,
    orders: Annotated[int, typer.Option(help="How many Orders the sandbox begins with.")] = 60,
) -> None:
    """Tell the whole story on the sandbox: check, sync, the clerk's day, sync, and the proof.

    Needs no account and no network. Everything it starts ends with it.
    """
    on_terminal = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=False, width=None if on_terminal else LOG_WIDTH)
    staying = on_terminal if stay is None else stay
    folder = Path(tempfile.mkdtemp(prefix="ml-connector-demo-"))
    stack = LocalStack(folder)
    code = 1
    verdict = "demo: failed before both sides could be compared"
    try:
        code, verdict = asyncio.run(_told(stack, console, orders=orders, staying=staying))
    except KeyboardInterrupt:
        code, verdict = INTERRUPTED, "demo: failed, interrupted"
    finally:
        # From here on a second Ctrl-C must not leave anything running.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stack.stop()
        if code in (0, INTERRUPTED):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"logs: {folder}", markup=False)
        sys.stdout.flush()
        print(verdict, flush=True)
        # Clients of the server that is gone would wait for it; there is nothing left to say.
        os._exit(code)


async def _told(
    stack: LocalStack, console: Console, *, orders: int, staying: bool
) -> tuple[int, str]:
    from ml_connector.cli.demo_story import Story

    teller = asyncio.current_task()
    assert teller is not None  # noqa: S101  # asyncio.run gives one
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, teller.cancel)
    story = Story(stack, console, orders=orders)
    verdict: tuple[int, str] | None = None
    try:
        verdict = await story.tell()
        if staying:
            console.print(f"\nThe UI stays up at {story.ui_url} until Ctrl-C.", style="bold")
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        return verdict or (INTERRUPTED, "demo: failed, interrupted")
    except ConnectorError as error:
        console.print(f"{error.message}\n{error.remedy}", markup=False, style="red")
        return 1, f"demo: failed, {error.code}"
    except Exception as error:  # noqa: BLE001  # the outermost loop: the last line must come
        console.print_exception()
        return 1, f"demo: failed, unexpected {type(error).__name__}"
    return verdict
