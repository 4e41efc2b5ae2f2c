"""The receiver as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.integration.receiver.conftest import COMPANY, STATE

PROGRAM = f"""
import asyncio, json, sys
from pydantic import SecretStr
from ml_connector.ledger.ledger import Ledger
from ml_connector.receiver.app import Subscriber, build_receiver
from ml_connector.receiver.serving import Listening, open_listener, serve

where = Listening("127.0.0.1", 0)
listener = open_listener(where)
store = Ledger.open(sys.argv[1])
application = build_receiver(store, "acme", Subscriber("{COMPANY}", SecretStr("{STATE}")))
ready = lambda: print(json.dumps(where.url(listener)), flush=True)
asyncio.run(serve(application, where, listener, ready))
"""


def start(ledger_url: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a receiver as a process and return it with its address."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, ledger_url], stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())
