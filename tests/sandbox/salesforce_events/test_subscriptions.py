"""Subscribing: headers, topics, flow control, replay, retention, keep-alives, faults."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest

from ml_connector.pubsub_stubs import pubsub_api_pb2 as pb2

ACCOUNT = "/data/AccountChangeEvent"
PREFIX = "sfdc.platform.eventbus.grpc."


# ---------------------------------------------------------------------- who may call


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"accesstoken": None}, "service.auth.headers.invalid"),
        ({"accesstoken": "expired"}, "service.auth.error"),
        ({"tenantid": "00D000000000001AAA"}, "service.auth.headers.invalid"),
        ({"instanceurl": "http://127.0.0.1"}, "service.auth.headers.invalid"),
        (
            {"instanceurl": "https://acme.my.salesforce.com/services"},
            "service.auth.headers.invalid",
        ),
        ({"instanceurl": "https://elsewhere.example"}, "service.auth.headers.invalid"),
    ],
)
async def test_wrong_headers_are_refused(world: Any, headers: dict[str, Any], code: str) -> None:
    """Each of the three headers is checked on every call."""
    refusal = await world.unary("GetTopic", pb2.TopicRequest(topic_name=ACCOUNT), **headers)

    assert refusal == (grpc.StatusCode.UNAUTHENTICATED, PREFIX + code)


async def test_the_short_tenant_id_is_accepted(world: Any) -> None:
    """The fifteen-character organization id opens the same org."""
    short = world.headers["tenantid"][:15]

    topic = await world.unary("GetTopic", pb2.TopicRequest(topic_name=ACCOUNT), tenantid=short)

    assert (topic.can_subscribe, topic.can_publish) == (True, False)


async def test_only_selected_entities_have_a_topic(world: Any) -> None:
    """OrderItem would be the sixth entity; its topic does not exist, nor one in other case."""
    for name in ("/data/OrderItemChangeEvent", "/data/accountChangeEvent", "AccountChangeEvent"):
        answer = await world.unary("GetTopic", pb2.TopicRequest(topic_name=name))
        assert answer == (grpc.StatusCode.NOT_FOUND, PREFIX + "topic.not.found")


async def test_a_sixth_entity_cannot_be_selected(world: Any) -> None:
    """The allowance is five entities over all channels."""
    entities = ["Account", "Contact", "Opportunity", "Order", "Product2", "OrderItem"]

    with pytest.raises(ValueError, match="5 may be"):
        world.pubsub.act("pubsub_select", entities=entities)


async def test_without_view_all_a_topic_is_closed(world: Any) -> None:
    """A user who does not see all Accounts cannot subscribe to them."""
    world.org.integration_user.access.package = None
    stream = await world.subscribe()

    assert await stream.refusal() == (
        grpc.StatusCode.PERMISSION_DENIED,
        PREFIX + "subscription.topic.cannot.subscribe",
    )


async def test_nobody_publishes(world: Any) -> None:
    """Change topics take no events from outside."""
    answer = await world.unary("Publish", pb2.PublishRequest(topic_name=ACCOUNT))

    assert answer[0] is grpc.StatusCode.PERMISSION_DENIED


async def test_an_unknown_schema_is_refused(world: Any) -> None:
    """GetSchema answers ids it has given out, no others."""
    answer = await world.unary("GetSchema", pb2.SchemaRequest(schema_id="A" * 22))

    assert answer == (grpc.StatusCode.INVALID_ARGUMENT, PREFIX + "schema.validation.failed")


# ---------------------------------------------------------------------- flow control


async def test_no_more_is_sent_than_was_asked_for(world: Any) -> None:
    """Demand limits delivery, and what is owed is told."""
    stream = await world.subscribe(count=2)
    for number in (1, 2, 3):
        world.save("Account", number, Name=f"Account {number}")

    events = await stream.events(2)
    await stream.ask(ACCOUNT, 5)
    response = await stream.response()

    assert len(events) == 2
    assert (len(response.events), response.pending_num_requested) == (1, 4)


async def test_demand_is_capped_at_a_hundred(world: Any) -> None:
    """Asking for more counts as a hundred in all."""
    stream = await world.subscribe(count=5000)
    world.pubsub.act("pubsub_emit", entity="Account", kind="GAP_UPDATE", record_ids=["001*"])

    assert (await stream.response()).pending_num_requested == 99


@pytest.mark.parametrize("count", [0, -1])
async def test_asking_for_nothing_is_refused(world: Any, count: int) -> None:
    """The number of requested events must be positive, also in later requests."""
    first = await world.subscribe(count=count)
    later = await world.subscribe()
    await later.ask(ACCOUNT, count)

    refusal = (
        grpc.StatusCode.INVALID_ARGUMENT,
        PREFIX + "subscription.fetch.requested.events.invalid",
    )
    assert await first.refusal() == refusal
    assert await later.refusal() == refusal


async def test_a_stream_keeps_its_topic(world: Any) -> None:
    """A later request for another topic ends the stream."""
    stream = await world.subscribe()
    await stream.ask("/data/OrderChangeEvent", 1)

    assert (await stream.refusal())[1] == PREFIX + "subscription.fetch.topic.mismatch"


async def test_flooding_ends_the_stream(world: Any) -> None:
    """Asking again and again while a hundred events are owed is refused."""
    world.org.frame.switches["pubsub_flood_requests"] = 3
    stream = await world.subscribe()
    for _ in range(4):
        await stream.ask(ACCOUNT, 100)

    assert await stream.refusal() == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        PREFIX + "subscription.fetch.overflow",
    )


async def test_a_stream_without_demand_is_closed(world: Any) -> None:
    """After the idle time a client that asks for nothing loses its stream."""
    world.org.frame.switches["pubsub_idle_seconds"] = 0.2
    stream = await world.subscribe(count=1)
    world.save("Account", Name="Adatum")
    await stream.events(1)

    assert await stream.refusal() == (grpc.StatusCode.OK, None)


async def test_the_delivery_allowance_ends_a_stream(world: Any) -> None:
    """What is used up within 24 hours ends deliveries until time has passed."""
    world.org.frame.switches["delivered_events_per_day"] = 1
    stream = await world.subscribe()
    world.save("Account", 1, Name="One")
    world.save("Account", 2, Name="Two")
    refusal = await stream.refusal()
    world.org.frame.clock.move(by=timedelta(hours=25))
    again = await world.subscribe(preset="EARLIEST")

    assert refusal == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        PREFIX + "subscription.limit.exceeded",
    )
    assert len(await again.events(1)) == 1


# ---------------------------------------------------------------------- replay


async def test_custom_starts_after_the_id(world: Any) -> None:
    """A stored replay id continues with the next event, also in its eight-byte form."""
    for number in (1, 2, 3):
        world.save("Account", number, Name=f"Account {number}")
    stream = await world.subscribe(preset="EARLIEST")
    first, second, third = await stream.events(3)

    for stored in (first.replay_id, first.replay_id[:8]):
        again = await world.subscribe(preset="CUSTOM", replay=stored)
        assert [event.replay_id for event in await again.events(2)] == [
            second.replay_id,
            third.replay_id,
        ]
    assert len(first.replay_id) == 10
    numbers = [int.from_bytes(event.replay_id[:8], "big") for event in (first, second, third)]
    assert numbers == sorted(set(numbers))
    assert numbers[2] - numbers[0] > 2


async def test_latest_starts_now(world: Any) -> None:
    """Without a stored id nothing of the past is delivered."""
    world.save("Account", 1, Name="Old")
    stream = await world.subscribe()
    world.save("Account", 2, Name="New")

    assert [event["Name"] for event in await world.take(stream)] == ["New"]


@pytest.mark.parametrize(
    "replay", [b"\0" * 10, b"\xff" * 10, b"short", (5_936_001).to_bytes(8, "big") + b"\0\1"]
)
async def test_an_unknown_replay_id_is_refused(world: Any, replay: bytes) -> None:
    """Foreign and malformed ids are the same to the service."""
    stream = await world.subscribe(preset="CUSTOM", replay=replay)

    assert await stream.refusal() == (
        grpc.StatusCode.INVALID_ARGUMENT,
        PREFIX + "subscription.fetch.replayid.corrupted",
    )


async def test_custom_without_an_id_is_refused(world: Any) -> None:
    """A custom start needs an id."""
    stream = await world.subscribe(preset="CUSTOM")

    assert (await stream.refusal())[1] == PREFIX + "subscription.fetch.replayid.validation.failed"


async def test_events_live_for_72_hours(world: Any) -> None:
    """Before the limit a stored id works, after it the id is refused and the event is gone."""
    world.save("Account", 1, Name="Old")
    stream = await world.subscribe(preset="EARLIEST")
    stored = (await stream.events(1))[0].replay_id
    world.org.frame.clock.move(by=timedelta(hours=71))
    world.save("Account", 2, Name="New")
    within = await world.subscribe(preset="CUSTOM", replay=stored)
    assert [event["Name"] for event in await world.take(within)] == ["New"]

    world.org.frame.clock.move(by=timedelta(hours=2))
    late = await world.subscribe(preset="CUSTOM", replay=stored)
    earliest = await world.subscribe(preset="EARLIEST")

    assert (await late.refusal())[1] == PREFIX + "subscription.fetch.replayid.corrupted"
    assert [event["Name"] for event in await world.take(earliest)] == ["New"]


async def test_keepalives_carry_a_fresh_position(world: Any) -> None:
    """A quiet topic still moves on: its keep-alive's id is good for another 72 hours."""
    world.org.frame.switches["pubsub_keepalive_seconds"] = 0.1
    stream = await world.subscribe()
    first, second = await stream.response(), await stream.response()
    world.org.frame.clock.move(by=timedelta(hours=71))
    third = await stream.response()
    world.org.frame.clock.move(by=timedelta(hours=2))
    world.save("Account", Name="After")

    assert not first.events
    assert first.latest_replay_id < second.latest_replay_id < third.latest_replay_id
    stale = await world.subscribe(preset="CUSTOM", replay=first.latest_replay_id)
    assert (await stale.refusal())[1] == PREFIX + "subscription.fetch.replayid.corrupted"
    fresh = await world.subscribe(preset="CUSTOM", replay=third.latest_replay_id)
    assert [event["Name"] for event in await world.take(fresh)] == ["After"]


async def test_the_latest_id_of_a_full_response_is_that_of_the_topic(world: Any) -> None:
    """With more events waiting, `latest_replay_id` is ahead of what was delivered."""
    for number in (1, 2):
        world.save("Account", number, Name=f"Account {number}")
    stream = await world.subscribe(preset="EARLIEST", count=1)
    response = await stream.response()

    assert response.latest_replay_id > response.events[-1].replay_id


async def test_the_channel_carries_all_selected_entities_in_order(world: Any) -> None:
    """The common channel has one order for all entities, and drops what may not be seen."""
    stream = await world.subscribe("/data/ChangeEvents")
    world.save("Account", Name="Adatum")
    world.save("Product2", Name="Chair")
    world.save("Account", Name="Adatum Inc")

    events = await world.take(stream, 3)

    names = [event["ChangeEventHeader"]["entityName"] for event in events]
    assert names == ["Account", "Product2", "Account"]


# ---------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("service.unavailable", grpc.StatusCode.UNAVAILABLE),
        ("service.auth.error", grpc.StatusCode.UNAUTHENTICATED),
        ("subscription.fetch.replay.repeated", grpc.StatusCode.INTERNAL),
        ("concurrent.client.limit.exceeded", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_a_stream_can_be_aborted(world: Any, code: str, status: grpc.StatusCode) -> None:
    """Every documented code can end an open stream."""
    stream = await world.subscribe()
    world.pubsub.act("pubsub_abort", code=code)

    assert await stream.refusal() == (status, PREFIX + code)


async def test_a_lost_connection_has_no_trailers(world: Any) -> None:
    """A reset looks different from a refusal: no error code."""
    stream = await world.subscribe()
    world.pubsub.act("pubsub_abort", code="connection.lost")

    assert await stream.refusal() == (grpc.StatusCode.UNAVAILABLE, None)


async def test_expired_sessions_end_streams_and_calls(world: Any) -> None:
    """When sessions are revoked, the open stream ends and the old token is refused."""
    stream = await world.subscribe()
    world.pubsub.act("pubsub_expire_sessions")

    refusal = (grpc.StatusCode.UNAUTHENTICATED, PREFIX + "service.auth.error")
    assert await stream.refusal() == refusal
    assert await world.unary("GetTopic", pb2.TopicRequest(topic_name=ACCOUNT)) == refusal


async def test_calls_can_be_refused(world: Any) -> None:
    """The next calls of a method are refused as often as asked."""
    world.pubsub.act("pubsub_refuse", code="topic.api.unavailable", method="GetTopic", times=1)
    request = pb2.TopicRequest(topic_name=ACCOUNT)

    assert (await world.unary("GetTopic", request))[0] is grpc.StatusCode.UNAVAILABLE
    assert (await world.unary("GetTopic", request)).topic_name == ACCOUNT


async def test_events_can_come_twice(world: Any) -> None:
    """The last events are delivered again with their replay ids."""
    stream = await world.subscribe()
    world.save("Account", 1, Name="One")
    world.save("Account", 2, Name="Two")
    first = await stream.events(2)
    world.pubsub.act("pubsub_duplicate", count=2)

    again = await stream.events(2)

    assert [event.replay_id for event in again] == [event.replay_id for event in first]
    assert [event.event.id for event in again] == [event.event.id for event in first]


async def test_commits_can_come_late_and_out_of_order(world: Any) -> None:
    """Commits that were kept back come with higher replay ids and older commit times."""
    stream = await world.subscribe()
    world.pubsub.act("pubsub_hold")
    world.save("Account", 1, Name="One")
    world.org.frame.clock.move(by=timedelta(seconds=30))
    world.save("Account", 2, Name="Two")
    world.pubsub.act("pubsub_release", reverse=True)

    late, early = [event["ChangeEventHeader"] for event in await world.take(stream, 2)]

    assert late["commitTimestamp"] - early["commitTimestamp"] >= 30_000


async def test_a_topic_can_fall_silent(world: Any) -> None:
    """A silent stream stays open and says nothing, then goes on where it was."""
    world.org.frame.switches["pubsub_keepalive_seconds"] = 0.1
    stream = await world.subscribe()
    world.pubsub.act("pubsub_silence", topic=ACCOUNT)
    await asyncio.sleep(0.2)
    world.save("Account", Name="Unheard")
    state = world.pubsub.act("pubsub_streams")["streams"][0]
    world.pubsub.act("pubsub_silence", on=False, topic=ACCOUNT)

    assert state["delivered"] == 0
    assert len(await stream.events(1)) == 1


async def test_gap_events_carry_a_header_only(world: Any) -> None:
    """GAP events can be put on the stream, overflow ones without any id."""
    stream = await world.subscribe()
    world.pubsub.act("pubsub_emit", entity="Account", kind="GAP_DELETE", record_ids=["001x"])
    world.pubsub.act("pubsub_emit", entity="Account", kind="GAP_OVERFLOW")

    gap, overflow = [event["ChangeEventHeader"] for event in await world.take(stream, 2)]

    assert (gap["changeType"], gap["recordIds"], gap["sequenceNumber"]) == (
        "GAP_DELETE",
        ["001x"],
        1,
    )
    assert (overflow["changeType"], overflow["recordIds"]) == ("GAP_OVERFLOW", [])


async def test_events_can_be_spoiled(world: Any) -> None:
    """Each way of spoiling breaks what it names, and only for as many events as asked."""
    stream = await world.subscribe()
    for how in ("payload", "body", "schema", "bitmap", "record_ids"):
        world.pubsub.act("pubsub_spoil", how=how, entity="Account")
    for number in range(1, 7):
        world.save("Account", number, Name=f"Account {number}")

    payload, body, schema, bitmap, ids, sound = await stream.events(6)

    for broken in (payload, body):
        with pytest.raises((EOFError, IndexError)):
            await world.decode(broken)
    unknown = await world.unary("GetSchema", pb2.SchemaRequest(schema_id=schema.event.schema_id))
    assert unknown[0] is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(IndexError):
        await world.decode(bitmap)
    assert (await world.decode(ids))["ChangeEventHeader"]["recordIds"] == []
    assert (await world.decode(sound))["Name"] == "Account 6"


async def test_a_new_stream_makes_stored_ids_foreign(world: Any) -> None:
    """After a move of the org a stored replay id is refused."""
    stream = await world.subscribe(preset="EARLIEST")
    world.save("Account", Name="Adatum")
    stored = (await stream.events(1))[0].replay_id
    world.pubsub.act("pubsub_reset_stream")

    again = await world.subscribe(preset="CUSTOM", replay=stored)
    assert (await again.refusal())[1] == PREFIX + "subscription.fetch.replayid.corrupted"


async def test_the_service_can_restart(world: Any) -> None:
    """A restart cuts the stream; afterwards the stored id still works."""
    stream = await world.subscribe()
    world.save("Account", 1, Name="One")
    stored = (await stream.events(1))[0].replay_id
    world.pubsub.act("pubsub_restart", down_seconds=0.1)
    status, code = await stream.refusal()
    world.save("Account", 2, Name="Two")

    assert (status, code) == (grpc.StatusCode.UNAVAILABLE, None)
    await world.stub.GetTopic(
        pb2.TopicRequest(topic_name=ACCOUNT), metadata=world.metadata(), wait_for_ready=True
    )
    again = await world.subscribe(preset="CUSTOM", replay=stored)
    assert [event["Name"] for event in await world.take(again)] == ["Two"]


async def test_a_restored_org_is_another_stream(world: Any) -> None:
    """Restoring a snapshot ends the streams; events and faults are those of the snapshot."""
    world.save("Account", 1, Name="Kept")
    blob = world.org.snapshot()
    stream = await world.subscribe()
    world.save("Account", 2, Name="Forgotten")
    await stream.events(1)
    world.pubsub.act("pubsub_refuse", code="service.unavailable")
    world.org.restore(blob)
    world.pubsub.server.wake_all()

    assert (await stream.refusal())[1] == PREFIX + "service.unavailable"
    earliest = await world.subscribe(preset="EARLIEST")
    assert [event["Name"] for event in await world.take(earliest)] == ["Kept"]


async def test_many_events_are_delivered_in_full_responses(world: Any) -> None:
    """A thousand events arrive complete and in order when demand is topped up."""
    world.save("Account", Name="Adatum")
    world.pubsub.act("pubsub_fill", entity="Account", count=1000)
    stream = await world.subscribe(preset="EARLIEST")
    found: list[bytes] = []
    while len(found) < 1001:
        response = await stream.response()
        found.extend(event.replay_id for event in response.events)
        await stream.ask(ACCOUNT, 100 - response.pending_num_requested or 1)

    assert found == sorted(set(found))
