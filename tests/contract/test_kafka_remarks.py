"""What an operator should mend on a cluster is read off the cluster itself."""

from __future__ import annotations

import pytest

from broker.log import Topic, open_log

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

TOPICS = [Topic("decisions"), Topic("inbox.jp", keep="contents")]


async def test_topics_that_are_made_by_us_need_no_mending(kafka_url: str) -> None:
    async with open_log(kafka_url) as log:
        await log.create(TOPICS)

        assert not [line for line in await log.remarks() if "decisions" in line or "inbox" in line]


async def test_a_topic_that_would_lose_its_markers_is_named(kafka_url: str) -> None:
    async with open_log(kafka_url, topic_settings={"delete.retention.ms": "1000"}) as log:
        await log.create(TOPICS)

        (line,) = [line for line in await log.remarks() if "inbox.jp" in line]
        assert "delete.retention.ms" in line


async def test_one_broker_alone_is_remarked_upon(kafka_url: str) -> None:
    async with open_log(kafka_url) as log:
        await log.create(TOPICS)

        assert "1 of 3 brokers: nothing survives the loss of one" in await log.remarks()
