"""Starts both systems of the sandbox, tells where they are, and ends them with itself."""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_connector.sandbox.connection_file import write_connection_file, write_private
from ml_connector.sandbox.frame.certificates import Certificates, make_authority
from ml_connector.sandbox.frame.child import (
    LOOPBACK,
    QuietServer,
    die_with_parent,
    listen,
    quiet_config,
)
from ml_connector.sandbox.frame.wire import WireError, decode, encode
from ml_connector.sandbox.identities import NAME, Identities, make_identities
from ml_connector.sandbox.proxy import ConnectProxy, ways
from ml_connector.sandbox.public_admin import build_public_admin
from ml_connector.sandbox.salesforce.package import PackageError, read_package
from ml_connector.sandbox.seed import Load, build

START_SECONDS = 120.0
STOP_SECONDS = 5.0
EXIT_FAILED = 2
PACKAGE_DIRECTORY = Path(__file__).resolve().parents[2] / "salesforce-package"


class StartError(RuntimeError):
    """A part of the sandbox did not come up."""


def make_parser() -> argparse.ArgumentParser:
    """The arguments of the sandbox command."""
    parser = argparse.ArgumentParser(
        prog="ml-connector sandbox",
        description="Run a Salesforce org and a Business Central company on this computer.",
    )
    parser.add_argument("--dir", type=Path, help="where its files go; a temporary one when absent")
    parser.add_argument(
        "--name",
        default=NAME,
        help="of the connection; sandboxes of different names are different orgs and companies",
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same data")
    parser.add_argument("--customers", type=int, default=60, help="accounts in Salesforce")
    parser.add_argument("--items", type=int, default=40, help="items in Business Central")
    parser.add_argument("--orders", type=int, default=60, help="orders in Salesforce")
    parser.add_argument("--lines", type=int, help="lines of every order; 1 to 40 when absent")
    parser.add_argument("--empty", action="store_true", help="seed no business data")
    parser.add_argument(
        "--plain", action="store_true", help="seed no record that is meant to park or wait"
    )
    parser.add_argument("--proxy", action="store_true", help="add the CONNECT proxy")
    parser.add_argument("--currency-mode", choices=("multi", "single"), default="multi")
    parser.add_argument(
        "--package",
        default=str(PACKAGE_DIRECTORY),
        help='the metadata package deployed in the org, or "none"',
    )
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each answer")
    parser.add_argument(
        "--notification-url", default="", help="the receiver's address in the connection file"
    )
    parser.add_argument("--salesforce-port", type=int, default=0)
    parser.add_argument("--business-central-port", type=int, default=0)
    parser.add_argument("--admin-port", type=int, default=0)
    parser.add_argument("--proxy-port", type=int, default=0)
    parser.add_argument(
        "--watch-stdin", action="store_true", help="end when standard input is closed"
    )
    return parser


def run(argv: Sequence[str]) -> int:
    """Run the sandbox until SIGTERM or SIGINT; the exit code is 0, or 2 when it did not start."""
    arguments = make_parser().parse_args(list(argv))
    die_with_parent(watch_stdin=arguments.watch_stdin)
    temporary = arguments.dir is None
    directory = Path(tempfile.mkdtemp(prefix="sandbox-")) if temporary else arguments.dir.resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return asyncio.run(_Sandbox(arguments, directory).run())
    except (StartError, OSError) as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return EXIT_FAILED
    finally:
        if temporary:
            shutil.rmtree(directory, ignore_errors=True)


@dataclass(slots=True)
class Child:
    """One system's process and the line it announced itself with."""

    name: str
    process: subprocess.Popen[bytes]
    announcement: dict[str, Any]


class _Sandbox:
    def __init__(self, arguments: argparse.Namespace, directory: Path) -> None:
        self._arguments = arguments
        self._directory = directory
        self._children: list[Child] = []
        self._stop = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        proxy: ConnectProxy | None = None
        try:
            self._check_package()
            identities = make_identities(self._arguments.name)
            certificates = make_authority(self._directory)
            self._write_seeds(identities)
            self._start_children(certificates)
            salesforce, central = await self._wait_for_children()
            line = self._describe(identities, certificates, salesforce, central)
            if self._arguments.proxy:
                proxy = ConnectProxy(
                    ways(salesforce["port"], central["port"], salesforce.get("pubsub_port"))
                )
                port = await proxy.start(self._arguments.proxy_port)
                line["proxy_url"] = f"http://{LOOPBACK}:{port}"
            return await self._serve(line, salesforce["admin_port"], central["admin_port"])
        finally:
            if proxy is not None:
                await proxy.stop()
            await asyncio.to_thread(self._end_children)

    def _check_package(self) -> None:
        package = self._arguments.package
        if package == "none":
            return
        try:
            read_package(Path(package))
        except (PackageError, ET.ParseError) as error:
            raise StartError(f'--package "{package}": {error}; "none" starts without') from error

    def _write_seeds(self, identities: Identities) -> None:
        arguments = self._arguments
        multi = arguments.currency_mode == "multi"
        empty = arguments.empty
        org, company = build(
            arguments.seed,
            0 if empty else arguments.customers,
            0 if empty else arguments.items,
            0 if empty else arguments.orders,
            multi_currency=multi,
            plain=arguments.plain,
            lines=arguments.lines,
        )
        self._write_seed("salesforce", identities.salesforce, org, {"multi_currency": multi})
        self._write_seed("business_central", identities.business_central, company, {})

    def _write_seed(
        self, system: str, identity: dict[str, Any], load: Load, switches: dict[str, Any]
    ) -> None:
        blocks = [{"entity": entity, "rows": rows} for entity, rows in load]
        content = {"identity": identity, "switches": switches, "load": blocks}
        write_private(self._seed_file(system), encode(content).decode())

    def _seed_file(self, system: str) -> Path:
        return self._directory / f"{system}.seed.json"

    def _start_children(self, certificates: Certificates) -> None:
        arguments = self._arguments
        self._start(
            "salesforce",
            certificates,
            arguments.salesforce_port,
            "--package",
            arguments.package,
            "--currency-mode",
            arguments.currency_mode,
        )
        self._start("business_central", certificates, arguments.business_central_port)

    def _start(self, name: str, certificates: Certificates, port: int, *own: str) -> None:
        command = [
            *(sys.executable, "-m", f"ml_connector.sandbox.{name}"),
            *("--port", str(port), "--admin-port", "0"),
            *("--cert", str(certificates.cert_file), "--key", str(certificates.key_file)),
            *("--ca", str(certificates.ca_file)),
            *("--seed-file", str(self._seed_file(name))),
            *("--latency", str(self._arguments.latency), "--watch-stdin"),
            *own,
        ]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._children.append(Child(name, process, {}))

    async def _wait_for_children(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both announcements; a stop that comes first gives up."""
        reading = asyncio.gather(
            *(asyncio.to_thread(_read_announcement, child) for child in self._children)
        )
        stopping = asyncio.ensure_future(self._stop.wait())
        waited: list[asyncio.Future[Any]] = [reading, stopping]
        done, _ = await asyncio.wait(
            waited, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if reading not in done:
            self._end_children()
            with contextlib.suppress(StartError):
                await reading
            raise StartError("stopped before both systems were up")
        stopping.cancel()
        salesforce, central = reading.result()
        for child in self._children:
            self._seed_file(child.name).unlink()
        return salesforce, central

    def _describe(
        self,
        identities: Identities,
        certificates: Certificates,
        salesforce: dict[str, Any],
        central: dict[str, Any],
    ) -> dict[str, Any]:
        """The line that tells a client everything."""
        org = {"url": f"https://{LOOPBACK}:{salesforce['port']}", **identities.salesforce}
        if "pubsub_port" in salesforce:
            org["pubsub_endpoint"] = f"{LOOPBACK}:{salesforce['pubsub_port']}"
        root = f"https://{LOOPBACK}:{central['port']}"
        company = {
            "url": root,
            "base_url": f"{root}/v2.0",
            "authority": root,
            **identities.business_central,
        }
        connection_file = write_connection_file(
            self._directory,
            org,
            company,
            single_currency=self._arguments.currency_mode == "single",
            name=self._arguments.name,
            notification_url=self._arguments.notification_url,
        )
        return {
            "salesforce": org,
            "business_central": company,
            "ca_file": str(certificates.ca_file),
            "certificate_file": str(certificates.cert_file),
            "key_file": str(certificates.key_file),
            "connection_file": str(connection_file),
        }

    async def _serve(self, line: dict[str, Any], salesforce: int, central: int) -> int:
        """Serve the admin surface until told to stop, or until a system has ended."""
        listener = listen(self._arguments.admin_port)
        line["admin_url"] = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        application, close = build_public_admin(salesforce, central)
        server = QuietServer(quiet_config(application))
        serving = asyncio.ensure_future(server.serve([listener]))
        await server.up.wait()
        sys.stdout.write(encode(line).decode() + "\n")
        sys.stdout.flush()
        watching = asyncio.ensure_future(self._watch())
        stopping = asyncio.ensure_future(self._stop.wait())
        waited: list[asyncio.Future[Any]] = [serving, watching, stopping]
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        ended = watching.result() if watching in done else None
        watching.cancel()
        stopping.cancel()
        server.should_exit = True
        await serving
        await close()
        if ended is not None:
            raise StartError(f"the {ended} system ended by itself")
        return 0

    async def _watch(self) -> str:
        """The name of the first system that ends."""
        while True:
            for child in self._children:
                if child.process.poll() is not None:
                    return child.name
            await asyncio.sleep(0.25)

    def _end_children(self) -> None:
        for child in self._children:
            _quietly(child.process.terminate)
            if child.process.stdin is not None:
                _quietly(child.process.stdin.close)
        for child in self._children:
            try:
                child.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def _quietly(action: Callable[[], None]) -> None:
    """Do it, or leave it where the process is gone already."""
    with contextlib.suppress(OSError):
        action()


def _read_announcement(child: Child) -> dict[str, Any]:
    """The line a system prints when it listens."""
    stream = child.process.stdout
    line = stream.readline() if stream is not None else b""
    try:
        announcement = decode(line) if line else None
    except WireError as error:
        raise StartError(f"the {child.name} system said something strange") from error
    if not isinstance(announcement, dict):
        raise StartError(f"the {child.name} system did not start")
    child.announcement = announcement
    return announcement
