"""`ml-connector sandbox`: a Salesforce org and a BC company on this computer."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def sandbox(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="Where its files go; a temporary folder without it."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the made-up data.")] = None,
    customers: Annotated[int | None, typer.Option(help="How many Accounts.")] = None,
    items: Annotated[int | None, typer.Option(help="How many items.")] = None,
    orders: Annotated[int | None, typer.Option(help="How many Orders.")] = None,
    proxy: Annotated[
        bool, typer.Option("--proxy", help="Also start a proxy that leads the vendors' names here.")
    ] = False,
) -> None:
    """Start both systems, print one JSON line when they are ready, and run until SIGTERM.

    Further options are handed on; `python -m ml_connector.sandbox --help` lists them all.
    """
    given = {
        "--dir": folder,
        "--seed": seed,
        "--customers": customers,
        "--items": items,
        "--orders": orders,
    }
    words = [
        word for name, value in given.items() if value is not None for word in (name, str(value))
    ]
    if proxy:
        words.append("--proxy")
    sys.stdout.flush()
    # The sandbox takes this process over, so that a signal sent to it reaches the sandbox itself.
    os.execv(  # noqa: S606  # our own interpreter, no shell
        sys.executable,
        [sys.executable, "-m", "ml_connector.sandbox", *words, *context.args],
    )
