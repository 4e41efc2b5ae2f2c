"""The command `ml-connector`."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from ml_connector.cli.application import application
from ml_connector.cli.output import DID_NOT_RUN, failure, standard_output
from ml_connector.errors import ConfigurationError


def main() -> None:
    """Run the command line and end the process with the command's exit code."""
    as_json = "--json" in sys.argv[1:]
    command = typer.main.get_command(application())
    try:
        code = command.main(prog_name="ml-connector", standalone_mode=False)
    except typer.Exit as ending:
        code = ending.exit_code
    except typer.Abort:
        code = 130
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        code = _usage(str(error.format_message()), as_json=as_json)
    sys.exit(code if isinstance(code, int) else 0)


def _usage(message: str, *, as_json: bool) -> int:
    error = ConfigurationError(
        message, code="usage", remedy="See `ml-connector --help` and `ml-connector COMMAND --help`."
    )
    result = failure(error)
    if as_json:
        import json

        with standard_output(reserved=True) as out:
            out.write(json.dumps(result.document, ensure_ascii=False) + "\n")
    else:
        result.say(Console(stderr=True))
    return DID_NOT_RUN


if __name__ == "__main__":
    main()
