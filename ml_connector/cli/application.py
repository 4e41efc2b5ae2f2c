"""All commands of `ml-connector` under one name."""

from __future__ import annotations

import typer

from ml_connector.cli.audit import audit
from ml_connector.cli.automations import automations
from ml_connector.cli.check import check
from ml_connector.cli.connect import connect
from ml_connector.cli.demo import demo
from ml_connector.cli.deploy import deploy
from ml_connector.cli.drain import drain, resume
from ml_connector.cli.listen import listen, poll
from ml_connector.cli.package import package
from ml_connector.cli.receive import receive
from ml_connector.cli.reconcile import reconcile
from ml_connector.cli.renew import renew
from ml_connector.cli.replay import replay
from ml_connector.cli.sandbox import sandbox
from ml_connector.cli.status import status
from ml_connector.cli.sync import sync
from ml_connector.cli.up import down, up

WORK = (connect, check, sync, listen, poll, status, audit, replay, reconcile, receive, renew)
OPERATION = (up, down, deploy, automations, drain, resume)
COMMANDS = (*WORK, *OPERATION)


def application() -> typer.Typer:
    """Return the command line."""
    app = typer.Typer(
        name="ml-connector",
        help="Keep Salesforce and Microsoft Dynamics 365 Business Central in agreement.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for command in COMMANDS:
        app.command()(command)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
        sandbox
    )
    app.command()(demo)
    app.add_typer(package, name="package")
    return app
