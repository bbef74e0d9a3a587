"""`halong inspect` on every vector, as a person or a program would call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adapters.commands.inspect import inspect
from adapters.inspecting import MOST_FILE_BYTES
from broker.cli import halong
from broker.core import records
from broker.core.model import Delivery, Envelope, Header
from broker.core.notice import draft
from broker.core.signing import sign_header
from broker.terminal import run
from tests.vectors.material import NETWORK, PRIVATE, SAMPLE, VECTORS, refused

CLEAR = VECTORS["clear"]
VN = VECTORS["keys"]["vn_ed25519"]["public"]
PQ = VECTORS["keys"]["vn_mldsa65"]["public"]

Inspect = Callable[..., Result]


@pytest.fixture
def inspected(tmp_path: Path) -> Inspect:
    """Run the command on some bytes."""
    schema = tmp_path / "sample.avsc"
    schema.write_text(json.dumps(VECTORS["notice_schema"]))

    def call(data: bytes, *options: str, key: str | None = VN, known: bool = True) -> Result:
        file = tmp_path / "some.envelope"
        file.write_bytes(data)
        keys = () if key is None else ("--public-key", key, "--network", NETWORK)
        schemas = ("--schema", str(schema)) if known else ()
        return CliRunner().invoke(inspect, [str(file), *keys, *schemas, *options])

    return call


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def told(result: Result) -> dict[str, Any]:
    assert result.stderr == ""
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


# --- every vector -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", refused("envelope"), ids=lambda case: case["why"])
def test_a_refused_envelope_exits_1_with_its_code(case: dict[str, Any], inspected: Inspect) -> None:
    options = ["--gateway"] if case.get("at") == "gateway" else []
    if case.get("pq"):
        options += ["--pq-public-key", PQ]
    key = VECTORS["keys"][case.get("key", "vn_ed25519")]["public"]
    result = inspected(raw(case["envelope"]), "--json", *options, key=key)
    assert result.exit_code == 1
    assert told(result)["code"] == case["code"]
    assert told(result)["signature"] == "not-checked"


@pytest.mark.parametrize("case", refused("delivery"), ids=lambda case: case["why"])
def test_a_refused_delivery_exits_1_with_its_code(case: dict[str, Any], inspected: Inspect) -> None:
    result = inspected(raw(case["delivery"]), "--json")
    assert result.exit_code == 1
    assert told(result)["code"] == case["code"]


def test_a_verified_envelope_is_told_by_stable_names(inspected: Inspect) -> None:
    result = inspected(raw(CLEAR["envelope"]), "--json", "--gateway")
    assert result.exit_code == 0
    assert told(result) == {
        "reference": CLEAR["reference"],
        "statement": CLEAR["statement_id"],
        "header": CLEAR["header"],
        "disclosed": VECTORS["slots"],
        "sealed": [],
        "withheld": [],
        "signature": "verified",
        "batch": None,
        "code": None,
    }


def signed(signature: str) -> bytes:
    envelope = records.decode(Envelope, raw(CLEAR["envelope"]))
    return records.encode(replace(envelope, signature=raw(signature)))


def test_every_kind_of_signature_is_verified(inspected: Inspect) -> None:
    p256 = VECTORS["keys"]["vn_p256"]["public"]
    hybrid = signed(VECTORS["hybrid"]["signature"])
    everything = raw(VECTORS["everything"]["envelope"])
    batched = records.encode(
        Envelope(raw(VECTORS["batch"]["headers"][2]), raw(VECTORS["batch"]["signatures"][2]), (), (), ())
    )
    for result in (
        inspected(everything, "--json", "--gateway"),
        inspected(signed(VECTORS["esp256"]["signature"]), "--json", key=p256),
        inspected(hybrid, "--json", "--pq-public-key", PQ),
        inspected(batched, "--json"),
    ):
        assert told(result)["signature"] == "verified"
        assert result.exit_code == 0


def test_of_a_batch_it_is_told_which_leaf_the_notice_is(inspected: Inspect) -> None:
    batch = VECTORS["batch"]
    envelope = Envelope(raw(batch["headers"][3]), raw(batch["signatures"][3]), (), (), ())
    size = len(batch["headers"])
    assert told(inspected(records.encode(envelope), "--json"))["batch"] == {"index": 3, "size": size}
    assert f"leaf 3 of a batch of {size}" in inspected(records.encode(envelope)).stdout
    assert told(inspected(raw(CLEAR["envelope"]), "--json"))["batch"] is None


def test_a_countersignature_without_its_key_is_not_taken_on_trust(inspected: Inspect) -> None:
    hybrid = signed(VECTORS["hybrid"]["signature"])
    result = inspected(hybrid, "--json")
    assert (result.exit_code, told(result)["signature"]) == (3, "not-checked")
    assert "no --pq-public-key was passed" in inspected(hybrid).stdout


def test_disclosed_sealed_and_withheld_are_told_apart(inspected: Inspect) -> None:
    sealed = told(inspected(raw(VECTORS["sealed"]["envelope"]), "--json", "--gateway"))
    assert sealed["disclosed"] == ["facts", "entities", "attachments"]
    assert sealed["sealed"] == ["identifiers", "persons", "intelligence"]
    assert sealed["withheld"] == []
    facts = told(inspected(raw(CLEAR["redacted_to_facts"]), "--json"))
    assert facts["disclosed"] == ["facts"]
    assert facts["withheld"] == VECTORS["slots"][1:]


def test_what_the_gateway_wants_whole_is_refused_if_something_is_missing(inspected: Inspect) -> None:
    result = inspected(raw(CLEAR["redacted_to_facts"]), "--json", "--gateway")
    assert (result.exit_code, told(result)["code"]) == (1, "incomplete")


def test_a_value_of_kafka_is_recognised(inspected: Inspect) -> None:
    delivery = records.decode(Delivery, raw(VECTORS["delivery"]["bytes"]))
    for data in (raw(CLEAR["kafka_value"]), records.frame(delivery)):
        result = inspected(data, "--json")
        assert (result.exit_code, told(result)["signature"]) == (0, "verified")


def test_a_delivery_is_recognised_and_told_with_its_head(inspected: Inspect) -> None:
    result = inspected(raw(VECTORS["delivery"]["bytes"]), "--json")
    answer = told(result)
    assert result.exit_code == 0
    assert answer["delivery"] == VECTORS["delivery"]["head"]
    assert answer["sealed"] == ["identifiers", "persons"]
    assert answer["withheld"] == ["entities", "intelligence", "attachments"]


def test_of_an_erased_delivery_the_head_is_told_and_nothing_is_checked(inspected: Inspect) -> None:
    result = inspected(raw(VECTORS["delivery"]["erased"]), "--json")
    answer = told(result)
    assert (result.exit_code, answer["signature"], answer["header"]) == (3, "not-checked", None)
    assert answer["delivery"] == VECTORS["delivery"]["head"]
    people = inspected(raw(VECTORS["delivery"]["erased"]))
    assert "the content is erased" in people.stdout
    assert "asia-pacific/vn" in people.stdout


# --- without a key --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["clear", "sealed", "everything", "delivery"])
def test_without_a_key_nothing_is_believed_and_the_exit_code_is_3(name: str, inspected: Inspect) -> None:
    data = raw(VECTORS[name].get("envelope") or VECTORS[name]["bytes"])
    result = inspected(data, "--json", key=None)
    assert result.exit_code == 3
    assert told(result)["signature"] == "not-checked"
    assert told(result)["code"] is None
    assert told(result)["header"]["originator"] == "vn"


def test_what_no_key_could_mend_is_refused_without_one(inspected: Inspect) -> None:
    for case in refused("envelope"):
        if (
            case["code"] in {"not-canonical", "bad-envelope", "bad-header", "bad-disclosure"}
            and "at" not in case
        ):
            result = inspected(raw(case["envelope"]), "--json", key=None)
            assert (result.exit_code, told(result)["code"]) == (1, case["code"]), case["why"]


def test_a_type_that_is_not_known_is_refused_with_a_key_and_not_checked_without(inspected: Inspect) -> None:
    result = inspected(raw(CLEAR["envelope"]), "--json", known=False)
    assert (result.exit_code, told(result)["code"]) == (1, "unknown-type")
    assert inspected(raw(CLEAR["envelope"]), "--json", known=False, key=None).exit_code == 3


# --- for people -----------------------------------------------------------------------------------------


def test_a_person_sees_the_verdict_first_then_header_slots_and_values(inspected: Inspect) -> None:
    result = inspected(raw(CLEAR["envelope"]))
    assert result.exit_code == 0
    first = result.stdout.splitlines()[0]
    assert first == f"✓ verified  {CLEAR['reference']}"
    for said in ("verified: by Ed25519 key", CLEAR["statement_id"], "293311", "Example Person 1", "JP NL VN"):
        assert said in result.stdout


def test_a_person_sees_what_is_withheld_or_sealed(inspected: Inspect) -> None:
    lines = inspected(raw(VECTORS["delivery"]["bytes"])).stdout.splitlines()
    words = [line.split() for line in lines[lines.index("slots") :]]
    states = {said[0]: said[1] for said in words if said and said[0] in VECTORS["slots"]}
    assert states == {
        "facts": "disclosed",
        "identifiers": "sealed",
        "entities": "withheld",
        "persons": "sealed",
        "intelligence": "withheld",
        "attachments": "withheld",
    }


def test_a_person_sees_what_was_refused_and_what_to_do(inspected: Inspect) -> None:
    envelope = records.decode(Envelope, raw(CLEAR["envelope"]))
    first, *others = envelope.disclosures
    altered = replace(envelope, disclosures=(replace(first, salt=bytes(16)), *others))
    result = inspected(records.encode(altered))
    assert result.exit_code == 1
    assert result.stdout.startswith(f"✗ refused: bad-disclosure  {CLEAR['reference']}")
    what, where, following = result.stderr.splitlines()
    assert what.endswith("[bad-disclosure]")
    assert where.endswith("facts")
    assert following.startswith("next:")


def test_a_file_that_is_nothing_of_ours_is_three_lines_and_no_answer(inspected: Inspect) -> None:
    for data in (b"", b"hello", bytes(2000)):
        result = inspected(data)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "[not-canonical]" in result.stderr


def test_text_in_a_refused_header_cannot_steer_the_terminal(inspected: Inspect) -> None:
    header = records.decode(Header, raw(CLEAR["header_bytes"]))
    evil = records.encode(replace(header, purpose="\x1b[31mred", campaign="a\u202eb"))
    envelope = records.decode(Envelope, raw(CLEAR["envelope"]))
    result = inspected(records.encode(replace(envelope, header=evil)))
    assert result.exit_code == 1
    assert "\x1b[31m" not in result.stdout
    assert "\u202e" not in result.stdout


def test_a_header_with_a_time_that_no_calendar_has_is_shown(inspected: Inspect) -> None:
    header = records.decode(Header, raw(CLEAR["header_bytes"]))
    evil = records.encode(replace(header, issued_at=2**62, retain_until=-(2**62)))
    envelope = records.decode(Envelope, raw(CLEAR["envelope"]))
    result = inspected(records.encode(replace(envelope, header=evil)))
    assert result.exit_code == 1
    assert f"{2**62} ms" in result.stdout


def test_a_long_value_is_cut_for_people(inspected: Inspect) -> None:
    values = {"hs_code": "2" * 1000, "net_mass_g": 1, "item_id": None, "consignee": None}
    digests, disclosures = draft(SAMPLE, values)
    header = replace(records.decode(Header, raw(CLEAR["header_bytes"])), slots=digests)
    data = records.encode(header)
    signature = sign_header(data, NETWORK, PRIVATE["vn_ed25519"])
    result = inspected(records.encode(Envelope(data, signature, disclosures, (), ())))
    assert result.exit_code == 0
    assert "(700 more)" in result.stdout


# --- options --------------------------------------------------------------------------------------------


def test_the_bytes_that_are_signed_can_be_written(inspected: Inspect, tmp_path: Path) -> None:
    out = tmp_path / "signed.tbs"
    result = inspected(raw(CLEAR["envelope"]), "--json", "--tbs", str(out), key=None)
    assert result.exit_code == 3
    assert out.read_bytes() == raw(CLEAR["sig_structure"])


def test_of_a_batch_the_signed_bytes_are_over_the_root(inspected: Inspect, tmp_path: Path) -> None:
    out = tmp_path / "signed.tbs"
    batch = VECTORS["batch"]
    envelope = Envelope(raw(batch["headers"][1]), raw(batch["signatures"][1]), (), (), ())
    inspected(records.encode(envelope), "--tbs", str(out))
    assert out.read_bytes().endswith(raw(batch["root"]))


def test_of_a_refused_file_the_signed_bytes_are_written_all_the_same(
    inspected: Inspect, tmp_path: Path
) -> None:
    """So that another program can be asked for a second opinion."""
    out = tmp_path / "signed.tbs"
    jp = VECTORS["keys"]["jp_ed25519"]["public"]
    assert inspected(raw(CLEAR["envelope"]), "--tbs", str(out), key=jp).exit_code == 1
    assert out.read_bytes() == raw(CLEAR["sig_structure"])


@pytest.mark.parametrize(
    "options",
    [
        ("--public-key", VN),
        ("--pq-public-key", PQ, "--network", NETWORK),
        ("--public-key", "zz", "--network", NETWORK),
        ("--public-key", "00", "--network", NETWORK),
        ("--public-key", "00" * 32, "--network", NETWORK),
        ("--public-key", PQ, "--network", NETWORK),
        ("--public-key", VN, "--pq-public-key", VN, "--network", NETWORK),
        ("--unknown",),
    ],
)
def test_options_that_make_no_sense_are_usage(options: tuple[str, ...], inspected: Inspect) -> None:
    assert inspected(raw(CLEAR["envelope"]), *options, key=None).exit_code == 2


def test_a_schema_that_is_none_is_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    envelope, schema = tmp_path / "e", tmp_path / "schema"
    envelope.write_bytes(raw(CLEAR["envelope"]))
    for text in ("{", "[]", "{}", "[" * 100_000, "\N{SNOWMAN}"):
        schema.write_text(text, encoding="utf-8")
        assert run(halong, ["inspect", str(envelope), "--schema", str(schema)]) == 2
        assert "bad-configuration" in capsys.readouterr().err


def test_a_file_of_any_size_costs_no_more_than_the_largest_delivery(inspected: Inspect) -> None:
    result = inspected(bytes(MOST_FILE_BYTES + 1), "--json")
    assert (result.exit_code, told(result)["code"]) == (1, "too-large")


def test_the_whole_command_line_gives_the_same_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "e"
    file.write_bytes(raw(CLEAR["envelope"]))
    assert run(halong, ["inspect", str(file)]) == 3
    capsys.readouterr()
    file.write_bytes(raw(CLEAR["envelope"]) + b"\0")
    assert run(halong, ["inspect", str(file), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["code"] == "not-canonical"
