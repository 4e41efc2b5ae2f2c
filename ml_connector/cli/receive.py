"""`ml-connector receive NAME`: take Business Central's notifications, until stopped."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from ml_connector.cli.arguments import Json, Name
from ml_connector.cli.output import DONE, Result, run_service
from ml_connector.errors import ConfigurationError

if TYPE_CHECKING:
    from ml_connector.configuration.settings import ConnectionSettings
    from ml_connector.receiver.app import Subscriber
    from ml_connector.receiver.serving import Listening

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")]
Certificate = Annotated[
    Path | None, typer.Option(help="Certificate chain (PEM), to speak TLS without a proxy.")
]
Key = Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")]


def receive(
    name: Name,
    host: Host = "127.0.0.1",
    port: Port = 8480,
    certificate: Certificate = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Receive the notifications of the connection NAME and store them, until SIGTERM.

    Business Central has to reach it at the connection's notification_url: lead a reverse proxy
    that speaks TLS to it, or give --certificate and --key. GET /health and /metrics tell how it is.
    """
    from ml_connector.receiver.serving import Listening

    where = Listening(host, port, certificate, key)
    run_service(lambda out: _serve(name, where, out, as_json=as_json), as_json=as_json)


async def _serve(name: str, where: Listening, out: TextIO, *, as_json: bool) -> Result:
    from prefect.server.api.server import SubprocessASGIServer

    from blocks.connected_systems import load_connection
    from ml_connector.ledger.ledger import Ledger
    from ml_connector.receiver.app import build_receiver
    from ml_connector.receiver.serving import check_certificate, open_listener, serve

    check_certificate(where)
    settings = await load_connection(name)
    # A server that was started to read the Blocks is of no more use: the receiver starts nothing.
    await asyncio.to_thread(SubprocessASGIServer().stop)
    subscriber = await asyncio.to_thread(_subscriber, settings)
    store = await asyncio.to_thread(Ledger.open, settings.ledger_url_text())
    with store:
        listener = open_listener(where)
        url = where.url(listener)
        target = settings.business_central.notification_url

        def ready() -> None:
            if as_json:
                line = {"connection": name, "url": url, "notification_url": target}
                out.write(json.dumps(line) + "\n")
            else:
                led = f"; Business Central calls {target}" if target else ""
                out.write(f"Receiving notifications of {name} on {url}{led}\n")
            out.flush()

        await serve(build_receiver(store, name, subscriber), where, listener, ready)
    return Result({}, DONE, lambda _console: None)


def _subscriber(settings: ConnectionSettings) -> Subscriber:
    """Return whose notifications are taken; asks BC when the company is given by name."""
    from ml_connector.business_central.client import BusinessCentralClient
    from ml_connector.receiver.app import Subscriber

    if not settings.notification_client_state.get_secret_value():
        raise ConfigurationError(
            "The connection has no secret for its subscriptions.",
            code="no_client_state",
            remedy="Run `ml-connector connect` with the connection file again.",
        )
    company_id = settings.business_central.company_id
    if not company_id:
        with BusinessCentralClient(settings.business_central) as client:
            company_id = client.company().id
    return Subscriber(company_id.lower(), settings.notification_client_state)
