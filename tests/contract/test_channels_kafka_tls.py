"""The kafka channel to a cluster that asks for certificates and refuses what no rule allows.

The rights are those that docs/channels.md names, and no other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not marked so for mypy
    AclOperation,
    ResourceType,
)

from adapters.channels import Channel, Closes
from adapters.channels.places import Places
from adapters.node import make_channels
from broker.log import Tls
from broker.log.kafka_clients import tls_context
from deploy.kafka import acls
from deploy.kafka.cluster import KafkaCluster
from deploy.kafka.tls import make_certificates
from tests.counterparts import Counterpart
from tests.nodes import TestNode
from tests.world import SECONDS, World, sighting

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

TOPIC = "halong-notices"
GROUP = "halong-jp-side"


def allow_channel(bootstrap: str, admin: Mapping[str, Path], name: str) -> None:
    """Give a certificate's holder what the page says, to the letter."""
    rules = {
        (ResourceType.TOPIC, TOPIC): (AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE),
        (ResourceType.TRANSACTIONAL_ID, GROUP): (AclOperation.WRITE, AclOperation.DESCRIBE),
        (ResourceType.GROUP, GROUP): (AclOperation.READ,),
    }
    acls._allow(
        bootstrap,
        admin,
        [
            acls._binding(name, kind, resource, exact=True, operation=operation)
            for (kind, resource), operations in rules.items()
            for operation in operations
        ],
    )


async def arrived(cluster: KafkaCluster) -> list[str]:
    """The places of all that is committed in the topic."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        security_protocol="SSL",
        ssl_context=tls_context(Tls(**cluster.client_tls())),
    )
    await consumer.start()
    try:
        there = TopicPartition(TOPIC, 0)
        consumer.assign([there])
        await consumer.seek_to_beginning(there)
        end = (await consumer.end_offsets([there]))[there]
        found: list[str] = []
        while await consumer.position(there) < end:
            records = (await consumer.getmany(there, timeout_ms=200)).get(there, [])
            found += [json.loads(each.value)["notice"]["place"] for each in records]
        return found
    finally:
        await consumer.stop()


async def offered(node: TestNode) -> tuple[int, str | None]:
    """Work on, and return how far the channel came and what was answered last."""
    await node.hands_on()
    place = Places(node.store).at("side")
    assert place is not None
    for worker in node.node.workers:
        if isinstance(worker._channel, Closes):
            await worker._channel.close()
    return place.handed, place.code


async def test_certificates_and_the_rights_of_the_page_suffice_and_without_them_nothing_goes(
    tls_cluster: KafkaCluster, tmp_path: Path
) -> None:
    """Who has no certificate, or one without rights, delivers nothing, and nothing is a dead letter."""
    tls = tls_cluster.tls
    assert tls is not None
    make_certificates(tls, ["jp", "stranger"])
    make_certificates(tmp_path / "other", ["jp"])
    admin = AIOKafkaAdminClient(
        bootstrap_servers=tls_cluster.bootstrap,
        security_protocol="SSL",
        ssl_context=tls_context(Tls(**tls_cluster.client_tls())),
    )
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    finally:
        await admin.close()
    allow_channel(tls_cluster.bootstrap, tls_cluster.client_tls(), "jp")
    side = Counterpart(tmp_path)
    side.kind = "kafka"

    def channel(name: str | None, folder: Path = tls, authority: Path = tls) -> Channel:
        side.settings = (
            f'bootstrap = ["{tls_cluster.bootstrap}"]\ntopic = "{TOPIC}"\n'
            f'authority = "{authority / "ca.pem"}"\n'
        )
        if name is not None:
            side.settings += f'certificate = "{folder / name}.pem"\nkey = "{folder / name}.key"\n'
        (made,) = make_channels(side.config())
        return made

    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp")
    refused = {
        "no certificate": channel(None),
        "a certificate of another authority": channel("jp", tmp_path / "other"),
        "a certificate that no rule names": channel("stranger"),
        "a cluster of another authority": channel("jp", authority=tmp_path / "other"),
    }
    async with asyncio.timeout(4 * SECONDS), world:
        places = [f"place {number}" for number in range(5)]
        for place in places[:3]:
            await world.publish("vn", sighting(place=place))
        first = TestNode(world, "jp", tmp_path, channels=[next(iter(refused.values()))])
        await world.settle()
        await first.node.runner.step(0)
        first.close()
        for what, made in refused.items():
            node = TestNode(world, "jp", tmp_path, channels=[made])
            with node.store.write():
                node.store.run("UPDATE channels SET retry_at = NULL")
            handed, code = await offered(node)
            assert (handed, bool(code)) == (0, True), what
            assert node.store.rows("SELECT * FROM letters") == [], what
            node.close()
        assert await arrived(tls_cluster) == []

        node = TestNode(world, "jp", tmp_path, channels=[channel("jp")])
        with node.store.write():
            node.store.run("UPDATE channels SET retry_at = NULL, failures = 0")
        # A young cluster makes the topic of groups when it is first asked for one.
        while (found := await offered(node))[0] < 3:
            assert found[1] == "kafka-GroupCoordinatorNotAvailableError", found
            world.clock.move(60_000)
        assert found == (3, None)
        # As after a crash that forgot what was confirmed: the place is in the cluster.
        with node.store.write():
            node.store.run("UPDATE channels SET place = 0 WHERE name = 'side'")
        node.close()
        node = TestNode(world, "jp", tmp_path, channels=[channel("jp")])
        for place in places[3:]:
            await world.publish("vn", sighting(place=place))
        await node.receives()
        await offered(node)
        assert await arrived(tls_cluster) == places
        node.close()
