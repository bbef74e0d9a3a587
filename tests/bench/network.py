"""A network of the size that is aimed at: 186 members, 50 communities and 250 agreements of two."""

from __future__ import annotations

from random import Random

from broker.core.clauses import Agreement
from broker.core.directory import Directory
from broker.core.model import Header, Slot, Status
from tests.strategies import agreement, digest, directory, grant, header

MEMBERS = 186
COMMUNITIES = 50
PAIRS = 250
PARTIES = 33
"""Of a community: as many as a regional office has."""

TYPES = ("drug-parcel", "feedback", "hazardous-waste", "lifecycle-confirmation", "revenue-fraud")
COUNTRIES = ("JP", "NL", "VN", "ZA")


def members() -> list[str]:
    """Return their ids."""
    return [f"m{number}" for number in range(MEMBERS)]


def dense_network(seed: int = 1) -> Directory:
    """Return a directory in which everybody acceded to what it is party to."""
    random = Random(seed)
    agreements = [_community(random, number) for number in range(COMMUNITIES)]
    agreements += [_pair(random, number) for number in range(PAIRS)]
    return directory(*agreements, members=members())


def notices(random: Random, count: int) -> list[Header]:
    """Return headers as they may come, originators in turn."""
    return [
        header(
            f"m{number % MEMBERS}",
            notice_type=random.choice(TYPES),
            countries=tuple(sorted(random.sample(COUNTRIES, random.randint(0, 2)))),
            subjects=random.choice(((), ("hs:293911",), ("hs:300490",), ("basel:Y48",))),
            status=Status.EXERCISE if random.random() < 0.05 else Status.ACTUAL,
        )
        for number in range(count)
    ]


def _community(random: Random, number: int) -> Agreement:
    return agreement(
        grant(
            "*",
            "*",
            *random.sample(list(Slot), 2),
            types=frozenset(random.sample(TYPES, 3)),
            countries=frozenset(random.sample(COUNTRIES, 2)) if number % 3 == 0 else None,
            statuses=frozenset({Status.ACTUAL, Status.EXERCISE}),
        ),
        grant("*", "*", types=frozenset({"feedback", "lifecycle-confirmation"})),
        id_=f"community-{number}",
        digest=digest(f"community-{number}"),
        parties=random.sample(members(), PARTIES),
    )


def _pair(random: Random, number: int) -> Agreement:
    giver, receiver = random.sample(members(), 2)
    return agreement(
        grant(
            giver,
            receiver,
            *random.sample(list(Slot), 3),
            types=frozenset(random.sample(TYPES, 2)),
            subjects=frozenset({"hs:29", "hs:30"}) if number % 2 else None,
        ),
        grant(receiver, giver, types=frozenset({"feedback"})),
        id_=f"pair-{number}",
        digest=digest(f"pair-{number}"),
        parties=(giver, receiver),
    )
