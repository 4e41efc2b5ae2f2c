"""The story the demo tells, step by step, on real programs: server, worker, both systems."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from rich.console import Console

from ml_connector.cli import demo_tables
from ml_connector.cli.agreement import Agreement, compare_sides
from ml_connector.cli.demo_clerk import Clerk, Day
from ml_connector.cli.local_stack import LocalStack, first_json_line, free_port
from ml_connector.cli.prefect_programs import PrefectPrograms, start_sandbox
from ml_connector.errors import ConfigurationError

Value = TypeVar("Value")

START_SECONDS = 180.0
RUN_SECONDS = 900.0


class Story:
    """One telling of the demo."""

    def __init__(self, stack: LocalStack, console: Console, *, orders: int) -> None:
        self._stack = stack
        self._console = console
        self._orders = orders
        self._prefect = PrefectPrograms(stack, stack.folder / "prefect", free_port())
        self.ui_url = self._prefect.ui_url

    async def tell(self) -> tuple[int, str]:
        """Tell the story; returns the exit code and the last line."""
        began = time.monotonic()
        ready = await self._start()
        name = await self._connect(Path(ready["connection_file"]))
        await self._deploy()
        await self._run(name, "check-connections")
        await self._run(name, "sync")
        before = await asyncio.to_thread(self._read, name)
        self._console.print(demo_tables.counts(before["counts"]))
        day = await asyncio.to_thread(self._clerk, name, ready["admin_url"])
        self._step("The BC clerk's day")
        for sentence in day.sentences():
            self._console.print(f"    {sentence}")
        await self._run(name, "sync")
        found = await asyncio.to_thread(self._compare, name)
        after = await asyncio.to_thread(self._read, name)
        self._show(after, found)
        return self._verdict(found, time.monotonic() - began)

    async def _start(self) -> dict[str, Any]:
        """Start sandbox and server side by side, then make this process a client of the server."""
        sandbox = start_sandbox(
            self._stack, self._prefect.environment, "--orders", str(self._orders)
        )
        server = self._prefect.start_server()
        self._prefect.become_client()
        ready = await self._watched(
            "Starting a Salesforce org and a Business Central company",
            asyncio.to_thread(first_json_line, sandbox, START_SECONDS),
        )
        self._console.print(f"    Salesforce {ready['salesforce']['url']}")
        self._console.print(f"    Business Central {ready['business_central']['url']}")
        await self._watched(
            "Starting Prefect", asyncio.to_thread(self._prefect.wait_for, server, START_SECONDS)
        )
        self._console.print(f"    Prefect UI [link={self.ui_url}]{self.ui_url}[/link]")
        return ready

    async def _connect(self, file: Path) -> str:
        from ml_connector.cli.connect import connect_file

        result = await self._watched(f"ml-connector connect {file.name}", connect_file(file))
        return str(result.document["connection"])

    async def _deploy(self) -> None:
        await self._watched("prefect deploy --all", self._prefect.deploy())
        self._prefect.start_worker("demo")
        self._step("prefect worker start")
        self._console.print(f"    Deployments {self.ui_url}/deployments")

    async def _run(self, name: str, flow: str) -> None:
        """Start a deployment as a person would in the UI and wait for its end."""
        from prefect import get_client

        async with get_client() as client:
            deployment = await client.read_deployment_by_name(f"{flow}/{flow}")
            run = await client.create_flow_run_from_deployment(
                deployment.id, parameters={"connection": name}
            )
        link = f"{self.ui_url}/runs/flow-run/{run.id}"
        await self._watched(f"{flow} {name}", self._ended(run.id), lambda: self._progress(run.id))
        self._console.print(f"    {link}")

    async def _ended(self, run_id: UUID) -> None:
        from prefect import get_client

        deadline = time.monotonic() + RUN_SECONDS
        async with get_client() as client:
            while time.monotonic() < deadline:
                for program in self._stack.programs:
                    if program.name in ("prefect-server", "prefect-worker", "sandbox"):
                        program.require_running()
                run = await client.read_flow_run(run_id)
                if run.state is not None and run.state.is_final():
                    if not run.state.is_completed():
                        raise ConfigurationError(
                            f"The run ended {run.state.name}: {run.state.message}",
                            code="run_failed",
                            remedy=f"See {self.ui_url}/runs/flow-run/{run_id}.",
                        )
                    return
                await asyncio.sleep(0.5)
        raise ConfigurationError(
            f"The run did not end in {RUN_SECONDS:.0f} s.",
            code="run_slow",
            remedy=f"See {self.ui_url}/runs/flow-run/{run_id}.",
        )

    async def _progress(self, run_id: UUID) -> str:
        """Return what the run is doing: its newest subflow, and how many tasks are done."""
        from prefect import get_client
        from prefect.client.schemas.filters import (
            FlowRunFilter,
            FlowRunFilterParentFlowRunId,
            TaskRunFilter,
            TaskRunFilterState,
            TaskRunFilterStateType,
        )
        from prefect.client.schemas.objects import StateType
        from prefect.client.schemas.sorting import FlowRunSort

        async with get_client() as client:
            children = await client.read_flow_runs(
                flow_run_filter=FlowRunFilter(
                    parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id])
                ),
                sort=FlowRunSort.START_TIME_DESC,
            )
            ids = [run_id, *(child.id for child in children)]
            done = await client.read_task_runs(
                flow_run_filter=FlowRunFilter.model_validate({"id": {"any_": ids}}),
                task_run_filter=TaskRunFilter(
                    state=TaskRunFilterState(
                        type=TaskRunFilterStateType(any_=[StateType.COMPLETED])
                    )
                ),
            )
        doing = children[0].name if children else "starting"
        return f"{doing}, {len(done)} tasks done" if done else doing

    def _clerk(self, name: str, admin_url: str) -> Day:
        with _clients(name) as systems:
            return Clerk(admin_url, systems.business_central).work()

    def _compare(self, name: str) -> Agreement:
        with _clients(name) as systems:
            return compare_sides(
                systems.salesforce,
                systems.business_central,
                org_currency=systems.settings.salesforce.currency,
                local_currency=systems.local_currency,
            )

    def _read(self, name: str) -> dict[str, Any]:
        """Return what the connector says stands, and what Salesforce shows on its orders."""
        from ml_connector.exchange.report import connection_status

        with _clients(name) as systems:
            document = connection_status(systems)
            document["shown"] = demo_tables.shown_orders(systems.salesforce)
            document["instance_url"] = systems.salesforce.instance_url
            return document

    def _show(self, after: dict[str, Any], found: Agreement) -> None:
        self._step("What Salesforce shows now")
        self._console.print(demo_tables.orders(after["shown"]))
        self._console.print(demo_tables.counts(after["counts"]))
        if after["records"]:
            self._step("What waits or is parked, and who can cure it")
            self._console.print(demo_tables.needing_someone(after["records"]))
            excluded = after["counts"].get("excluded", 0)
            self._console.print(
                f"    {excluded} more are left out by a rule: ml-connector status lists them"
            )
        self._step("Both sides compared through their own APIs, without the connector's ledger")
        self._console.print(demo_tables.money(found))
        for difference in found.differences:
            self._console.print(f"    {difference}", markup=False, style="red")
        self._console.print(f"    Runs       {self.ui_url}/runs")
        self._console.print(f"    Artifacts  {self.ui_url}/artifacts")

    def _verdict(self, found: Agreement, seconds: float) -> tuple[int, str]:
        differences = len(found.differences)
        good = differences == 0 and found.pairs > 0
        return (0 if good else 1), (
            f"demo: {'ok' if good else 'failed'}, {found.pairs} of {found.orders} closed orders in"
            f" both systems, {len(found.explained)} held back with a reason,"
            f" {found.customers} customers, {found.items} items,"
            f" {differences} differences, {seconds:.0f} s"
        )

    def _step(self, text: str) -> None:
        self._console.print(f"[green]✓[/green] {text}")

    async def _watched(
        self,
        text: str,
        work: Awaitable[Value],
        progress: Callable[[], Awaitable[str]] | None = None,
    ) -> Value:
        """Await *work* while a line tells what is going on; ends with the time it took."""
        began = time.monotonic()
        doing = asyncio.ensure_future(work)
        try:
            with self._console.status(text) as line:
                while True:
                    await asyncio.wait([doing], timeout=0.7)
                    if doing.done():
                        break
                    detail = await progress() if progress is not None else ""
                    spent = f"{time.monotonic() - began:.0f} s"
                    line.update(" · ".join(part for part in (text, detail, spent) if part))
        finally:
            doing.cancel()
        value = await doing
        self._step(f"{text} [dim]{time.monotonic() - began:.1f} s[/dim]")
        return value


def _clients(name: str) -> Any:
    """Open the systems of a saved connection."""
    from blocks.connected_systems import load_connection
    from ml_connector.exchange.systems import Systems

    return Systems.open(asyncio.run(load_connection(name)))
