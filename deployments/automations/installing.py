"""Install the automations of this folder on the Prefect server, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from typing import Any

import yaml
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.variables import Variable

from deployments.automations.numbers import more_than
from ml_connector.errors import ConfigurationError

PREFIX = "ml-connector: "
"""Begins the name of every automation of ours; others are never touched."""

SETTINGS_VARIABLE = "ml_connector_automations"
"""The Prefect variable in which the settings of the last installation are kept."""

_WEBHOOK = "webhook"
_REFERENCE = re.compile(r"\$([a-z_]+)")


@dataclass(frozen=True, slots=True)
class AutomationSettings:
    """What the operator decides about the automations."""

    notify: str = ""
    """`BLOCK-TYPE/NAME` of a notification Block or a webhook; empty: nobody is told, and the event
    feed shows what would have been."""
    parked_above: int = 10
    quiet_seconds: float = 3600
    """For so long the same thing is told once."""
    renewal_seconds: float = 86_400
    dark_seconds: float = 7_800
    """Listeners tell the lag every five minutes, hourly polls once an hour."""
    stranded_seconds: float = 180
    """Runs send a heartbeat every 30 s; several may be late on a busy server."""

    def values(self) -> dict[str, Any]:
        """Return what `$name` stands for in the files."""
        return {**asdict(self), "more_than_parked_above": more_than(self.parked_above)}


@dataclass(slots=True)
class Installed:
    """Names of the automations by what was done to them."""

    settings: AutomationSettings
    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


async def install_automations(**changes: Any) -> Installed:
    """Make the server's automations those of this folder; settings not in *changes* stay.

    Effect: creates what is missing, updates in place what differs, removes what is ours and no
    longer shipped. One that a person switched off stays off. A second call changes nothing.

    Raises: ConfigurationError when the notification's target does not exist.
    """
    settings = replace(await _kept_settings(), **changes)
    async with get_client() as client:
        target = await _target(client, settings.notify)
        wanted = [_automation(text, settings, target) for text in shipped()]
        found = [each for each in await _all(client) if each.name.startswith(PREFIX)]
        done = Installed(settings)
        existing: dict[str, Automation] = {}
        for automation in found:
            if automation.name in {each.name for each in wanted} - set(existing):
                existing[automation.name] = automation
            else:
                await client.delete_automation(automation.id)
                done.removed.append(automation.name)
        for automation_wanted in wanted:
            await _install(client, automation_wanted, existing.get(automation_wanted.name), done)
    await Variable.aset(SETTINGS_VARIABLE, asdict(settings), overwrite=True)
    return done


def shipped() -> list[str]:
    """Return the texts of the files, in the order of their names."""
    folder = files("deployments.automations")
    names = sorted(each.name for each in folder.iterdir() if each.name.endswith(".yaml"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]


async def _kept_settings() -> AutomationSettings:
    kept: Any = await Variable.aget(SETTINGS_VARIABLE, default=None)
    known = AutomationSettings.__dataclass_fields__
    return AutomationSettings(
        **{name: value for name, value in (kept or {}).items() if name in known}
    )


async def _all(client: PrefectClient) -> list[Automation]:
    found: list[Automation] = []
    while page := await client.read_automations(limit=200, offset=len(found)):
        found += page
    return found


async def _install(
    client: PrefectClient, wanted: AutomationCore, existing: Automation | None, done: Installed
) -> None:
    if existing is None:
        await client.create_automation(wanted)
        done.created.append(wanted.name)
        return
    wanted.enabled = existing.enabled
    if wanted.model_dump() == existing.model_dump(exclude={"id"}):
        done.unchanged.append(wanted.name)
        return
    await client.update_automation(existing.id, wanted)
    done.updated.append(wanted.name)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where messages go: a saved Block, or nobody."""

    block_type: str = ""
    block_id: str = ""

    def action(self, subject: str, body: str) -> dict[str, Any]:
        if not self.block_id:
            return {"type": "do-nothing"}
        if self.block_type == _WEBHOOK:
            payload = (
                f"{{% set subject %}}{subject}{{% endset %}}{{% set body %}}{body}{{% endset %}}"
                '{"subject": {{ subject|tojson }}, "body": {{ body|tojson }}}'
            )
            return {"type": "call-webhook", "block_document_id": self.block_id, "payload": payload}
        return {
            "type": "send-notification",
            "block_document_id": self.block_id,
            "subject": subject,
            "body": body,
        }


async def _target(client: PrefectClient, notify: str) -> _Target:
    if not notify:
        return _Target()
    block_type, _, name = notify.partition("/")
    try:
        document = await client.read_block_document_by_name(name, block_type)
    except ObjectNotFound as error:
        raise ConfigurationError(
            f"There is no Block {name!r} of type {block_type!r} to notify.",
            system="prefect",
            code="no_notification_block",
            remedy="Make it in the Prefect UI under Blocks, and name it as TYPE/NAME, such as"
            " slack-webhook/operations.",
        ) from error
    return _Target(block_type, str(document.id))


def _automation(text: str, settings: AutomationSettings, target: _Target) -> AutomationCore:
    document = _filled(yaml.safe_load(text), settings.values())
    message = document.pop("notify", None)
    actions = document.pop("actions", [])
    if message is not None:
        actions.append(target.action(message["subject"], message["body"]))
    return AutomationCore.model_validate({**document, "actions": actions})


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """Return *value* with every `$name` replaced; one that is all of a text keeps its type."""
    match value:
        case dict():
            return {key: _filled(each, values) for key, each in value.items()}
        case list():
            return [_filled(each, values) for each in value]
        case str():
            whole = _REFERENCE.fullmatch(value)
            if whole:
                return values[whole[1]]
            return _REFERENCE.sub(lambda found: str(values[found[1]]), value)
    return value
