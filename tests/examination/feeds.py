"""What goes wrong with change events: held back, swapped, doubled, spoiled, cut off, never sent."""

from __future__ import annotations

import random
from typing import Any

from tests.examination.points import Event
from tests.examination.world import Body, People, World

SPOILS = ("payload", "body", "schema", "bitmap", "record_ids")
ENDS = ("service.unavailable", "connection.lost", "subscription.internal.error")
ENTITIES = ("Account", "Contact", "Order", "Product2")


class FeedTrouble:
    """Disturbs the stream of change events by chance, and lets people act while they come."""

    def __init__(self, world: World, people: People, chance: random.Random) -> None:
        self._world = world
        self._people = people
        self._chance = chance

    def begin(self) -> list[str]:
        """Disturb the stream before anybody listens; returns what was done."""
        chance = self._chance
        story: list[str] = []
        if chance.random() < 0.5:
            story.append(self._do(_feed("pubsub_hold")))
            for _ in range(chance.randint(1, 3)):
                self._people.do_something()
                story.append(self._people.log[-1] if self._people.log else "")
        if chance.random() < 0.4:
            times = chance.randint(1, 3)
            story.append(self._do(_feed("pubsub_spoil", how=chance.choice(SPOILS), times=times)))
        if chance.random() < 0.15:
            story.append(self._do(_feed("pubsub_reset_stream")))
        if chance.random() < 0.15:
            story.append(self._do(_feed("pubsub_silence", topic=self._topic())))
        return story

    def events(self) -> list[Event]:
        """Return what happens while a worker listens: events come late, twice, never; edits."""
        chance = self._chance
        bodies: list[Body | None] = [_feed("pubsub_release", reverse=chance.random() < 0.6)]
        bodies += [self._people.planned_act() for _ in range(chance.randint(0, 3))]
        bodies += [
            _feed("pubsub_duplicate", count=chance.randint(1, 20))
            for _ in range(chance.randint(0, 2))
        ]
        if chance.random() < 0.3:
            bodies.append(_feed("pubsub_abort", code=chance.choice(ENDS)))
        if chance.random() < 0.1:
            bodies.append(_feed("pubsub_expire_sessions"))
        if chance.random() < 0.3:
            kind = chance.choice(("GAP_UPDATE", "GAP_OVERFLOW"))
            gap = _feed("pubsub_emit", entity=chance.choice(ENTITIES), kind=kind)
            bodies.append(gap)
        places = sorted(chance.randint(5, 150) for _ in bodies)
        chance.shuffle(bodies)
        return [
            Event("any", place, "act", body)
            for place, body in zip(places, bodies, strict=True)
            if body is not None
        ]

    def end(self) -> None:
        """Leave the stream as it was; what was held back comes now."""
        self._do(_feed("pubsub_clear"))

    def _topic(self) -> str:
        entity = self._chance.choice(ENTITIES)
        return f"/data/{entity}ChangeEvent"

    def _do(self, body: Body) -> str:
        done = self._world.act(body)
        return f"{'' if done else 'refused '}{body}"


def _feed(act: str, **arguments: Any) -> Body:
    return {"system": "salesforce", "act": act, **arguments}
