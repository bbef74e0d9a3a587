"""Policies: who must have cosigned a checkpoint before it counts."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.cosignature import CosignatureKey, Cosigner
from broker.core.errors import BadConfiguration, BadProof, NotCosigned
from broker.core.keys import Algorithm, PrivateKey
from broker.core.note import LogSigner
from broker.core.policy import Policy, network_policy, witness_name
from broker.core.signed_note import Line, merged, split_note

LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))
OTHER_LOG = LogSigner("other/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))
NAMES = ["br", "jp", "nl", "vn", "za"]
WITNESSES = {
    name: Cosigner(
        witness_name("halong-test", name), PrivateKey.from_seed(Algorithm.ED25519, bytes([n]) * 32)
    )
    for n, name in enumerate(NAMES, start=7)
}
NOTE = LOG.sign_checkpoint(70, bytes(range(32)), 1_790_000_000_000)
TEXT, _ = split_note(NOTE)
KEYS = {name: [each.key] for name, each in WITNESSES.items()}
W = [each.key.vkey for each in WITNESSES.values()]
LOG_LINE = f"log {LOG.vkey}\n"

NESTED = f"""# Two houses.
{LOG_LINE}
\twitness X1 {W[0]}\t
witness X2 {W[1]} https://witness.example/
witness X3 {W[2]}
group X-witnesses 2 X1 X2 X3
witness Y1 {W[3]}
witness Y2 {W[4]}
group Y-witnesses any Y1 Y2
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
""".encode()


def cosigned(*names: str, at: int = 1_790_000_100_000, note: bytes = NOTE) -> bytes:
    return merged(note, [WITNESSES[name].cosign(split_note(note)[0], at) for name in names])


@pytest.mark.parametrize("quorum", [None, 1, 3, 5, 9])
def test_a_checkpoint_counts_once_so_many_members_have_cosigned_it(quorum: int | None) -> None:
    policy = Policy.parse(network_policy(LOG.key, KEYS, quorum).encode())
    needed = min(3 if quorum is None else quorum, 5)
    assert policy.least == needed
    for count in range(6):
        for names in combinations(NAMES, count):
            if count >= needed:
                found = policy.check(cosigned(*names))
                assert found.tree == (70, bytes(range(32)))
                assert found.times == {f"member/{name}": 1_790_000_100_000 for name in names}
            else:
                with pytest.raises(NotCosigned):
                    policy.check(cosigned(*names))


def test_a_member_that_changes_its_key_is_one_witness() -> None:
    fresh = Cosigner(WITNESSES["nl"].key.name, PrivateKey.from_seed(Algorithm.ED25519, bytes([99]) * 32))
    policy = Policy.parse(network_policy(LOG.key, {**KEYS, "nl": [*KEYS["nl"], fresh.key]}, 2).encode())
    both = merged(cosigned("nl"), [fresh.cosign(TEXT, 1_790_000_100_000)])
    with pytest.raises(NotCosigned):
        policy.check(both)
    assert policy.check(merged(cosigned("vn"), [fresh.cosign(TEXT, 1_790_000_100_000)]))


def test_without_witnesses_the_logs_word_is_all_there_is() -> None:
    policy = Policy.parse(network_policy(LOG.key, {"nl": []}).encode())
    assert policy.check(NOTE).times == {}
    assert policy.least == 0


def test_a_member_may_be_called_as_it_likes() -> None:
    members = {"none": KEYS["nl"], "members": KEYS["vn"]}
    assert Policy.parse(network_policy(LOG.key, members).encode()).least == 2


def test_groups_of_groups_are_counted_as_they_stand() -> None:
    policy = Policy.parse(NESTED)
    assert policy.least == 3
    for names in (["br", "jp", "vn"], ["jp", "nl", "za"], NAMES):
        assert policy.check(cosigned(*names))
    for names in (["br", "jp", "nl"], ["br", "vn", "za"], ["br", "vn"], []):
        with pytest.raises(NotCosigned):
            policy.check(cosigned(*names))


def test_a_cosignature_counts_for_the_text_that_it_covers_alone() -> None:
    policy = Policy.parse(network_policy(LOG.key, KEYS, 1).encode())
    other = LOG.sign_checkpoint(71, bytes(range(32)))
    moved = merged(other, [WITNESSES["nl"].cosign(TEXT, 1_790_000_100_000)])
    with pytest.raises(BadProof):
        policy.check(moved)


def test_a_false_line_of_one_witness_spoils_the_note_however_many_others_cosigned_it() -> None:
    policy = Policy.parse(network_policy(LOG.key, KEYS, 1).encode())
    key = WITNESSES["br"].key
    with pytest.raises(BadProof):
        policy.check(merged(cosigned("jp", "nl"), [Line(key.name, key.key_id, bytes([0, 1] * 36))]))


def test_only_the_logs_of_the_policy_count() -> None:
    policy = Policy.parse(network_policy(LOG.key, {}).encode())
    impostor = LogSigner(LOG.key.name, PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))
    for log in (OTHER_LOG, impostor):
        with pytest.raises(BadProof):
            policy.check(log.sign_checkpoint(70, bytes(32)))


X, Y = f"witness X {W[0]}\n", f"witness Y {W[1]}\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LOG_LINE, "no quorum"),
        (LOG_LINE + "quorum none", "does not end"),
        (LOG_LINE + "quorum none\nquorum none\n", "second quorum"),
        (LOG_LINE + "quorum X\n" + X, "no line before"),
        (LOG_LINE + LOG_LINE + "quorum none\n", "earlier log"),
        (X + f"witness Z {W[0]}\nquorum X\n", "earlier witness"),
        (X + f"witness X {W[1]}\nquorum X\n", "is taken"),
        (f"witness none {W[0]}\nquorum none\n", "is taken"),
        (X + "group X any X\nquorum X\n", "is taken"),
        (X + "group G any X none\nquorum G\n", "no line before"),
        (X + "group G any Y\n" + Y + "quorum G\n", "no line before"),
        (X + Y + "group G any X X\nquorum G\n", "in a group already"),
        (X + Y + "group G any X\ngroup H any X Y\nquorum H\n", "in a group already"),
        (X + Y + "group G 0 X Y\nquorum G\n", "from 1"),
        (X + Y + "group G 3 X Y\nquorum G\n", "from 1"),
        (X + Y + "group G 02 X Y\nquorum G\n", "from 1"),
        (X + Y + "group G most X Y\nquorum G\n", "from 1"),
        (X + "group G all\nquorum G\n", "is none of"),
        (X + "quorum X Y\n", "is none of"),
        (f"log {W[0]}\nquorum none\n", "no key"),
        (f"witness X {LOG.vkey}\nquorum X\n", "no key"),
        ("witness X \udcff+aa+bb\nquorum X\n", "not text"),
        ("quorum none\r\n", "control"),
        ("quorum\x0bnone\n", "control"),
        ("#" * (1 << 20) + "\nquorum none\n", "larger"),
    ],
    ids=lambda value: value.replace(" ", "-") if len(value) < 20 else "text",
)
def test_a_file_in_any_other_form_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadConfiguration, match=why):
        Policy.parse(text.encode(errors="surrogateescape"))


def test_names_are_bytes_whatever_they_mean() -> None:
    text = b"witness \xff " + W[0].encode() + b"\nwitness \xfe " + W[1].encode() + b"\n"
    policy = Policy.parse(text + b"group \xe2\x84\xaa all \xff \xfe\nquorum \xe2\x84\xaa\n")
    assert policy.least == 2


@given(names=st.sets(st.sampled_from(NAMES)), least=st.integers(1, 5))
def test_more_cosignatures_never_make_a_checkpoint_count_less(names: set[str], least: int) -> None:
    policy = Policy.parse(network_policy(LOG.key, KEYS, least).encode())
    whole = {f"member/{name}": 1 for name in names}
    for name in list(whole):
        fewer = {each: 1 for each in whole if each != name}
        assert policy.satisfied(whole) or not policy.satisfied(fewer)


def test_the_key_of_a_witness_is_written_for_other_implementations() -> None:
    text = network_policy(LOG.key, KEYS)
    assert [CosignatureKey.parse(word) for word in text.split() if "/witness/" in word] == [
        each.key for each in WITNESSES.values()
    ]
