"""Prove that both sides agree, and leave what was found in the Prefect UI."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from ml_connector.domain.identifiers import State
from ml_connector.exchange.findings import Finding, Reconciliation
from ml_connector.exchange.outcome import Outcome
from ml_connector.exchange.reconciliation import reconcile
from ml_connector.exchange.report import end_run
from tasks.batches import Scope
from tasks.links import Links, links_of
from tasks.retry_policy import EFFECT
from tasks.run_artifacts import ROWS, cell
from tasks.run_labels import name_run


@task(name="compare-sides", task_run_name="compare both sides", **EFFECT)
async def compare_sides(scope: Scope, heal: bool) -> Reconciliation:
    """Read both sides fresh, compare every pair, and heal what is the connector's to heal."""
    return await scope.run(lambda systems: reconcile(systems, heal=heal))


class Report:
    """What was found. A plain object, so that Prefect does not look inside."""

    __slots__ = ("found",)

    def __init__(self, found: Reconciliation) -> None:
        self.found = found


@task(
    name="publish-reconciliation",
    task_run_name="publish what was found",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_reconciliation(scope: Scope, report: Report) -> None:
    """Write sums and differences as artifacts, one history per connection."""
    found = report.found
    counts = {**found.counts(), "pairs": found.pairs}
    await scope.run(lambda systems: end_run(systems, "reconcile", 0 if found.agree else 1, counts))
    links = await links_of(scope.systems)
    name = scope.systems.settings.name
    told = verdict(found)
    await name_run(name, told)
    await acreate_markdown_artifact(
        reconciliation_text(found, links), key=f"reconcile-{name}", description=told
    )
    rows = [
        {
            **each.to_json(),
            "salesforce_link": links.salesforce(_outcome(each)),
            "business_central_link": links.business_central(_outcome(each)),
        }
        for each in found.findings[:ROWS]
    ]
    if rows:
        await acreate_table_artifact(
            rows,
            key=f"reconcile-{name}-differences",
            description="Every difference, with its class.",
        )


def verdict(report: Reconciliation) -> str:
    """Return in one line whether both sides agree, such as `agree; 51 orders compared`."""
    counts = report.counts()
    said = "agree" if report.agree else f"differ: {counts['ours']} ours, {counts['theirs']} theirs"
    return f"{said}; {report.pairs} orders compared"


def reconciliation_text(report: Reconciliation, links: Links) -> str:
    """Return the markdown of a reconciliation: verdict, sums, differences."""
    counts = report.counts()
    verdict = "Both sides agree." if report.agree else "The two sides differ."
    lines = [
        f"# reconcile: {report.connection}",
        "",
        f"**{verdict}** {report.pairs} orders compared; {counts['ours']} differences ours"
        f" ({counts['healed']} healed), {counts['theirs']} theirs, {counts['excluded']} left out"
        " by a rule.",
        "",
        "| state | currency | orders | Salesforce | Business Central | difference |",
        "|---|---|---:|---:|---:|---:|",
    ]
    summary = report.summary()
    lines += [
        f"| {row['state']} | {row['currency']} | {row['orders']} | {row['salesforce']} |"
        f" {row['business_central']} | {row['difference']} |"
        for row in summary["states"]
    ]
    lines += [
        f"| **all** | {row['currency']} | | {row['salesforce']} | {row['business_central']} |"
        f" {row['difference']} |"
        for row in summary["money"]
    ]
    lines += _differences(report.findings, links)
    return "\n".join(lines)


def _differences(findings: Sequence[Finding], links: Links) -> list[str]:
    if not findings:
        return []
    lines = [
        "",
        "| class | what | where | remedy | Salesforce | Business Central |",
        "|---|---|---|---|---|---|",
    ]
    for each in findings[:ROWS]:
        remedy = "healed" if each.healed else f"{each.remedy} ({each.owner})"
        lines.append(
            f"| {each.side} | {cell(each.message)} | {cell(each.where)} | {cell(remedy)} |"
            f" {links.salesforce_cell(_outcome(each))} |"
            f" {links.business_central_cell(_outcome(each))} |"
        )
    if len(findings) > ROWS:
        lines += [
            "",
            f"… and {len(findings) - ROWS} more; `ml-connector reconcile --json` has all.",
        ]
    return lines


def _outcome(each: Finding) -> Outcome:
    return Outcome(
        kind=each.kind,
        key=each.key,
        salesforce_id=each.salesforce_id,
        number=each.salesforce_number,
        state=State.PARKED,
        bc_id=each.bc_id,
        bc_number=each.bc_number,
    )
