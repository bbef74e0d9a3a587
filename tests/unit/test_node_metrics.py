"""What an operator is shown of a node: read from its store at each scrape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.channels.places import Places
from adapters.metrics import Surroundings, render
from adapters.status import snapshot
from adapters.store import Store
from broker.core.model import Status

NOW = 1_790_000_000_000
HOUR = 3_600_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "node.db") as found:
        yield found


def shown(store: Store, around: Surroundings | None = None) -> dict[str, float]:
    """Return every sample by its name and labels."""
    lines = render(snapshot(store), NOW, around).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name.removeprefix("halong_node_"): float(value) for name, value in pairs}


def delivered(store: Store, name: str, due_at: int | None) -> None:
    """Put a delivery and what is owed for it into the store."""
    id_ = name.encode().ljust(32, b".")
    with store.write():
        store.run(
            "INSERT INTO deliveries VALUES (?, 1, 'l', 1, ?, NULL, NULL, 'delivered', NULL, ?, 0, ?, 1, 0)",
            id_, id_, b"", b"",
        )  # fmt: skip
        store.run(
            "INSERT INTO shared VALUES (?, 'vn', 'jp', ?, 'r', 'sighting', 1, '', 0, ?, NULL, NULL, 0)",
            id_, id_, due_at,
        )  # fmt: skip


def test_a_node_that_never_reached_its_hub_counts_as_out_of_reach_for_ever(store: Store) -> None:
    found = shown(store)

    assert found["hub_reached_seconds_ago"] == math.inf
    assert found["checkpoint_seconds_ago"] == math.inf
    assert (found["oldest_waiting_seconds"], found["oldest_unproven_seconds"], found["held"]) == (0, 0, 0)


def test_times_are_counted_from_now(store: Store) -> None:
    store.remember(reached_at=NOW - HOUR, feed_seen_at=NOW - 2 * HOUR, held="it does not hold", behind=7)

    found = shown(store)

    assert (found["hub_reached_seconds_ago"], found["checkpoint_seconds_ago"]) == (3600, 7200)
    assert (found["held"], found["behind"]) == (1, 7)


def test_what_no_quorum_stands_behind_is_shown_for_as_long_as_it_is_so(store: Store) -> None:
    assert (shown(store)["cosigned_quorum"], shown(store)["cosigned_seconds_ago"]) == (0, math.inf)
    store.remember(cosigned_quorum=2, cosigned_size=70, cosigned_at=NOW - HOUR)
    found = shown(store)
    assert (found["cosigned_quorum"], found["cosigned_size"], found["cosigned_seconds_ago"]) == (2, 70, 3600)
    assert found["uncovered_seconds"] == 0
    store.remember(uncovered_since=NOW - HOUR)
    assert shown(store)["uncovered_seconds"] == 3600


def test_alarms_are_counted_by_event_however_many_subjects_they_have(store: Store) -> None:
    for subject in ("a", "b", "a"):
        store.alarm("stream.left", "out-of-order", subject, NOW)
    store.alarm("feed.stopped", "bad-proof", "", NOW)

    found = shown(store)

    assert found['alarms{event="stream.left"}'] == 3
    assert found['alarms{event="feed.stopped"}'] == 1


def test_a_channel_shows_what_waits_what_is_dead_and_how_often_it_failed(store: Store) -> None:
    places = Places(store)
    places.open("hook", [Status.ACTUAL])
    for name in ("a", "b", "c"):
        delivered(store, name, None)
        with store.write():
            store.run(
                "INSERT INTO queue (delivery, status) VALUES (?, ?)",
                name.encode().ljust(32, b"."), int(Status.ACTUAL),
            )  # fmt: skip
    offer, *_ = places.waiting("hook", 1)
    places.fail("hook", "channel-unavailable", NOW, NOW)
    places.bury("hook", offer, "channel-refused", 1, NOW)

    found = shown(store)

    assert found['channel_behind{channel="hook"}'] == 2
    assert found['channel_dead_letters{channel="hook"}'] == 1
    assert found['channel_failures{channel="hook"}'] == 1
    assert found['channel_paused{channel="hook"}'] == 0


def test_feedback_is_owed_and_overdue_by_its_time_alone(store: Store) -> None:
    delivered(store, "early", NOW + HOUR)
    delivered(store, "late", NOW)
    delivered(store, "none", None)

    found = shown(store)

    assert (found["feedback_due"], found["feedback_overdue"]) == (2, 1)


def test_certificates_and_room_are_those_of_the_folder(store: Store) -> None:
    found = shown(store, Surroundings({"member.pem": NOW + HOUR}, 1000, 10))

    assert found['certificate_expiry_timestamp_seconds{certificate="member.pem"}'] == (NOW + HOUR) / 1000
    assert (found["disk_free_bytes"], found["store_bytes"]) == (1000, 10)
