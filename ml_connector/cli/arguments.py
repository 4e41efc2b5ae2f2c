"""Arguments several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Name: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the connection, as in its file.")
]

Json: TypeAlias = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on standard output and nothing else."),
]
