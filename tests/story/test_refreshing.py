"""A hub with a signed directory and members' nodes, over mutual TLS."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.directory.own import CHANGE_FILE, REFUSED_FILE, read_own, write_own
from broker.core.errors import BadConfiguration, DirectoryExpired
from broker.core.wire import DirectoryFiles
from broker.directory.building import delegations_of, member_change, targets_change
from broker.directory.roles import file_name
from tests.ceremony import SECRETARIAT, active, member, private, publics, signed, spare
from tests.served import Answer, Served, served
from tests.signed_world import SignedNode, SignedWorld, change_of, signed_node
from tests.world import DAY, sighting

pytestmark = pytest.mark.sockets

HOUR = 3_600_000


def agreement(name: str, giver: str, receiver: str, version: int = 1) -> bytes:
    """An agreement by which one member gives another the facts of sightings."""
    return f"""
id = "{name}"
version = {version}
nonce = "00112233445566778899aabbccddeeff"
title = "What {giver} gives {receiver}"
parties = ["{giver}", "{receiver}"]
in_force_from = 2020-01-01

[[grant]]
from = "{giver}"
to = "{receiver}"
types = ["sighting"]
slots = ["facts"]
""".encode()


TEXT = agreement("vn-jp-2026", "vn", "jp")


@dataclass
class Story:
    """A hub, and the nodes of vn and jp; th is a member without a node."""

    hub: Served
    world: SignedWorld
    vn: SignedNode
    jp: SignedNode


@asynccontextmanager
async def story(folder: Path) -> AsyncIterator[Story]:
    async with (
        served(folder, "vn", "jp", "th", kind=SignedWorld) as hub,
        signed_node(hub, "vn", folder) as vn,
        signed_node(hub, "jp", folder) as jp,
    ):
        assert isinstance(hub.world, SignedWorld)
        await vn.refresher.refresh()
        await jp.refresher.refresh()
        yield Story(hub, hub.world, vn, jp)


async def hand_over(node: SignedNode, **change: object) -> None:
    """Sign a change of the own role and let the node hand it over, as the commands of ceremonies do."""
    # The command works on what the node has.
    network = node.world.network
    network.newest = network.repository.newest() or network.newest
    node.intend(change_of(network, node.member, **change))
    assert await node.refresher.refresh()
    assert not (node.path / CHANGE_FILE).exists()


async def test_an_agreement_counts_at_once_when_both_parties_have_acceded_and_no_longer_when_one_leaves(
    tmp_path: Path,
) -> None:
    async with story(tmp_path) as now:
        await hand_over(now.vn, accede=[TEXT])
        await now.vn.sends(place="too early")
        assert await now.jp.receives() == 0

        await hand_over(now.jp, accede=[TEXT])
        started = time.monotonic()
        # vn's own copy is older: the hub decides, and vn learns of the version when it proves the decision.
        await now.vn.sends(place="now")
        assert await now.jp.receives() == 1
        assert time.monotonic() - started < 2

        await hand_over(now.vn, leave=[("vn-jp-2026", 1)])
        await now.vn.sends(place="too late")
        assert await now.jp.receives() == 1
        assert now.vn.alarms() == now.jp.alarms() == []


async def test_the_text_of_an_agreement_goes_to_its_parties_alone(tmp_path: Path) -> None:
    async with story(tmp_path) as now, signed_node(now.hub, "th", tmp_path) as th:
        now.world.network.accede(TEXT, "vn", "jp")
        (both,) = now.world.signed.load().agreements
        name = file_name(both.digest.hex())
        for node, is_party in ((now.vn, True), (now.jp, True), (th, False)):
            await node.refresher.refresh()
            assert (node.path / name).exists() == is_party
            assert (both in node.source.load().agreements) == is_party
            # Of others' agreements everybody sees name and hash.
            assert node.source.load().members["vn"].accessions == {("vn-jp-2026", 1): both.digest}


async def test_a_version_that_a_node_never_saw_is_fetched_when_a_delivery_names_it(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        now.world.network.accede(TEXT, "vn", "jp")
        await now.world.directory.refresh()
        decided = now.world.directory.value.version
        await now.vn.sends(place="under the second version")
        now.world.network.change(now.world.network.members["th"])
        await now.world.directory.refresh()
        await now.jp.refresher.refresh()
        assert now.jp.source.load().version != decided
        assert now.jp.source.at(decided) is None

        assert await now.jp.receives() == 1
        found = now.jp.source.at(decided)
        assert found is not None
        assert found.version == decided


async def test_what_was_decided_long_after_a_version_was_over_is_refused(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        now.world.network.accede(TEXT, "vn", "jp")
        await now.world.directory.refresh()
        now.world.network.leave("vn", "vn-jp-2026", 1)
        await now.jp.refresher.refresh()
        # The hub goes on deciding under the version in which vn had not left.
        await now.vn.sends(place="within ten minutes")
        assert await now.jp.receives() == 1
        now.world.clock.move(11 * 60_000)
        envelope = now.world.compose("vn", sighting(), stream="another")
        await now.world.store("vn", envelope)
        assert await now.jp.receives() == 1
        assert ("delivery.quarantined", "directory-rolled-back") in now.jp.alarms()


async def test_nothing_goes_on_once_nobody_vouches_for_the_directory(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        now.world.network.accede(TEXT, "vn", "jp")
        await now.world.directory.refresh()
        await now.vn.refresher.refresh()
        await now.vn.sends(place="in time")
        now.world.clock.move(DAY)

        with pytest.raises(DirectoryExpired):
            await now.vn.sends(place="too late")
        with pytest.raises(DirectoryExpired):
            await now.jp.receives()
        assert ("feed.stopped", "directory-expired") in now.jp.alarms()
        with pytest.raises(DirectoryExpired):
            await now.vn.refresher.refresh()
        assert ("directory.refused", "directory-expired") in now.vn.alarms()

        assert await now.world.registry.renew()
        await now.world.directory.refresh()
        await now.vn.refresher.refresh()
        await now.jp.refresher.refresh()
        while await now.vn.node.outbox.step():
            pass
        assert await now.jp.receives() == 2


async def test_the_hub_renews_its_timestamp_when_half_of_its_day_is_over(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        now.world.clock.move(12 * HOUR - 1)
        assert not await now.world.registry.renew()
        now.world.clock.move(1)
        assert await now.world.registry.renew()
        before = now.vn.source.load()
        assert not await now.vn.refresher.refresh()
        now.world.clock.move(23 * HOUR)
        assert now.vn.source.load() is before


async def test_a_change_that_the_hub_refuses_is_kept_for_a_person_and_not_sent_again(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        network = now.world.network
        unsigned = member_change(network.version, network.members["vn"], network.now, accede=[TEXT])
        now.vn.intend(unsigned)
        with pytest.raises(BadConfiguration) as caught:
            await now.vn.refresher.refresh()
        assert caught.value.code == "directory-unsigned"
        assert now.vn.alarms() == [("directory.change-refused", "directory-unsigned")]
        assert (now.vn.path / REFUSED_FILE).exists()
        assert not await now.vn.refresher.refresh()


async def test_what_somebody_signed_with_our_key_elsewhere_is_told(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        now.world.network.accede(TEXT, "vn")
        assert await now.vn.refresher.refresh()
        assert now.vn.alarms() == [("directory.signed-elsewhere", "directory-withheld")]


async def test_a_rotation_that_the_member_asked_for_is_followed(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        network, fresh = now.world.network, private("vn-next")
        before, entry = now.world.directory.value, member("vn", directory=(active("vn"), spare("vn"), fresh))
        own = read_own(now.vn.path)
        write_own(now.vn.path, replace(own, next=frozenset({fresh.public, spare("vn").public})))
        both = signed(member_change(network.version, entry, network.now), active("vn"), fresh)
        now.vn.intend(both)
        assert await now.vn.refresher.refresh()
        network.newest = network.repository.newest() or network.newest
        delegations = {**delegations_of(network.version), "vn": publics((fresh, spare("vn")))}
        network.take(signed(targets_change(network.version, delegations, network.now), *SECRETARIAT[:2]))
        assert await now.vn.refresher.refresh()
        assert now.vn.alarms() == []
        after = read_own(now.vn.path)
        assert (after.keys, after.next) == (frozenset({fresh.public, spare("vn").public}), frozenset())
        # A version from before the rotation is still ours.
        assert (await now.vn.node.directories.at(before.version)).directory == before


# --- the paths ------------------------------------------------------------------------------------------


async def ask(now: Story, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    return await now.hub.ask(method, path, body, headers=headers)


async def test_a_timestamp_that_is_known_is_not_sent_again(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        first = await ask(now, "GET", "/v1/directory/timestamp")
        assert first.status == 200
        assert json.loads(first.body)["signed"]["_type"] == "timestamp"
        again = await now.hub.ask(
            "GET", "/v1/directory/timestamp", headers={"If-None-Match": first.headers["etag"]}
        )
        assert (again.status, again.body) == (304, b"")
        assert "no-cache" in first.headers["cache-control"]


async def test_an_answer_holds_what_the_known_version_has_not(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        known = now.world.signed.load().version.hex()
        now.world.network.accede(TEXT, "vn")
        answer = await ask(now, "GET", f"/v1/directory?known={known}")
        assert answer.headers["cache-control"] == "no-store"
        names = set(answer.json["files"])
        roles = {"metadata/1.root.json", "metadata/2.member-vn.json", "metadata/3.snapshot.json"}
        assert names == {*roles, "metadata/timestamp.json", file_name(_digest(TEXT))}
        whole = await ask(now, "GET", "/v1/directory")
        assert set(whole.json["files"]) > names
        past = await ask(now, "GET", f"/v1/directory/versions/{known}")
        assert "immutable" in past.headers["cache-control"]
        assert "metadata/timestamp.json" not in past.json["files"]
        assert isinstance(DirectoryFiles(**past.json), DirectoryFiles)


def _digest(text: bytes) -> str:
    return sha256(text).hexdigest()


async def test_a_version_that_never_was_is_not_there(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        assert (await ask(now, "GET", f"/v1/directory/versions/{'0' * 64}")).status == 404
        assert (await ask(now, "GET", "/v1/directory/versions/xyz")).json["code"] == "not-canonical"
        assert (await ask(now, "GET", "/v1/directory?known=AB")).json["field"] == "known"


async def test_a_member_changes_its_own_role_alone(tmp_path: Path) -> None:
    async with story(tmp_path) as now:
        network = now.world.network
        others = change_of(network, "jp", accede=[TEXT])
        answer = await ask(now, "POST", "/v1/directory", others.write())
        assert (answer.status, answer.json["code"]) == (403, "not-yours")
        foreign = agreement("jp-th-2026", "jp", "th")
        network.accede(foreign, "jp")
        own = change_of(network, "vn", accede=[TEXT])
        with_more = replace(own, files={**own.files, _digest(foreign): foreign})
        answer = await ask(now, "POST", "/v1/directory", with_more.write())
        assert (answer.status, answer.json["code"], answer.json["field"]) == (
            400,
            "directory-malformed",
            "files",
        )
        answer = await ask(now, "POST", "/v1/directory", b"{}")
        assert (answer.status, answer.json["code"]) == (400, "directory-malformed")
        answer = await ask(now, "POST", "/v1/directory", own.write())
        assert answer.status == 200
        assert now.world.directory.value.version.hex() == answer.json["version"]
        # It is the next of its role once.
        answer = await ask(now, "POST", "/v1/directory", own.write())
        assert (answer.status, answer.json["code"]) == (400, "bad-configuration")
