"""A signature holds for the very bytes, member, reference and network that it was made for, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from broker.core import cbor, records, signing
from broker.core.directory import MemberKey
from broker.core.errors import BadSignature, NotCanonical, Refused, UnknownKey
from broker.core.keys import Signer
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import Event, Header, Receipt, SignedReceipt
from broker.core.sign1 import BatchProof, assembled, check_form, parse_signature
from broker.core.signing import (
    key_named,
    open_receipt,
    sign_batch,
    sign_header,
    sign_receipt,
    to_be_signed,
    verify_header,
)
from tests.vectors.material import AT, NETWORK, PRIVATE, VECTORS, keyring, member_key

VN, JP, VN_P256, VN_PQ = (PRIVATE[name] for name in ("vn_ed25519", "jp_ed25519", "vn_p256", "vn_mldsa65"))
HEADER = records.decode(Header, bytes.fromhex(VECTORS["clear"]["header_bytes"]))


def header(sequence: int, originator: str = "vn") -> bytes:
    return records.encode(replace(HEADER, sequence=sequence, originator=originator))


def verify(
    data: bytes,
    signature: bytes,
    candidates: Sequence[MemberKey] = (member_key("vn_ed25519"),),
    *,
    pq_required: bool = False,
    network: str = NETWORK,
) -> MemberKey:
    return verify_header(
        data,
        records.decode(Header, data),
        signature,
        candidates,
        (member_key("vn_mldsa65"),),
        pq_required=pq_required,
        network=network,
    )


@pytest.mark.parametrize("size", [1, 2, 3, 1_024])
def test_each_header_of_a_batch_verifies_by_itself(size: int) -> None:
    headers = [header(number + 1) for number in range(size)]
    signatures = sign_batch(headers, NETWORK, VN)

    assert len(set(signatures)) == size
    for data, signature in zip(headers, signatures, strict=True):
        assert verify(data, signature) == member_key("vn_ed25519")
    if size > 1:
        with pytest.raises(BadSignature):
            verify(headers[0], signatures[1])


def test_a_batch_of_two_hashes_to_another_name_than_a_single_header() -> None:
    (single,) = sign_batch([header(1)], NETWORK, VN)
    assert single == sign_header(header(1), NETWORK, VN)


@pytest.mark.parametrize(
    "headers",
    [[], [header(1)] * 1_025, [header(1), header(1, "jp")]],
    ids=["none", "1,025", "of two originators"],
)
def test_what_is_no_batch_is_not_signed(headers: list[bytes]) -> None:
    with pytest.raises(ValueError, match="batch"):
        sign_batch(headers, NETWORK, VN)


def test_nobody_can_have_signed_where_no_key_counts() -> None:
    with pytest.raises(UnknownKey):
        verify(header(1), sign_header(header(1), NETWORK, VN), [])


def test_the_key_that_signed_is_found_among_many() -> None:
    keys = [member_key(name) for name in ("jp_ed25519", "vn_p256", "vn_ed25519")]
    for signer, key in ((VN, keys[2]), (VN_P256, keys[1])):
        signature = sign_header(header(1), NETWORK, signer)
        assert verify(header(1), signature, keys) == key
        assert key_named(signature, keys) == key
    assert key_named(sign_header(header(1), NETWORK, VN), keys[:2]) is None
    with pytest.raises(BadSignature):
        key_named(b"\x80", keys)


def test_any_changed_byte_of_a_signature_is_refused() -> None:
    """The countersignature's own bytes are left to ML-DSA, but for its first and last."""
    data = header(1)
    single = sign_header(data, NETWORK, VN)
    batched = sign_batch([data, header(2), header(3)], NETWORK, VN)[0]
    hybrid = sign_header(data, NETWORK, VN, VN_PQ)
    for signature, places in (
        (single, range(len(single))),
        (batched, range(len(batched))),
        (hybrid, [*range(180), 200, len(hybrid) - 100, len(hybrid) - 1]),
    ):
        verify(data, signature)
        for place in places:
            changed = bytearray(signature)
            changed[place] ^= 1
            with pytest.raises(Refused) as caught:
                verify(data, bytes(changed))
            assert caught.value.code in {"bad-signature", "not-canonical"}


def test_a_countersignature_that_is_there_must_hold_even_where_none_is_required() -> None:
    data = header(1)
    other = sign_header(header(2), NETWORK, VN, VN_PQ)
    second = parse_signature(other).countersignature
    assert second is not None
    mixed = sign_header(data, NETWORK, VN).replace(
        b"\xa0\xf6", cbor.encode({11: [second.protected, {}, second.signature]}) + b"\xf6"
    )
    with pytest.raises(BadSignature):
        verify(data, mixed)


def test_a_countersignature_is_required_where_the_directory_says_so() -> None:
    data = header(1)
    verify(data, sign_header(data, NETWORK, VN, VN_PQ), pq_required=True)
    with pytest.raises(BadSignature):
        verify(data, sign_header(data, NETWORK, VN), pq_required=True)
    with pytest.raises(BadSignature):
        verify(data, sign_header(data, NETWORK, VN, VN), pq_required=True)


def test_what_was_signed_for_an_exercise_does_not_pass_at_the_live_hub() -> None:
    for signature in (sign_header(header(1), "exercise", VN), sign_batch([header(1)] * 2, "exercise", VN)[0]):
        verify(header(1), signature, network="exercise")
        with pytest.raises(BadSignature):
            verify(header(1), signature)


OTHER_FORMS: dict[str, Callable[[bytes], bytes]] = {
    "a map in place of it": lambda _: b"\xa0",
    "an untagged array": lambda data: data[1:],
    "another tag": lambda data: b"\xd3" + data[1:],
    "three parts": lambda data: b"\xd2\x83" + data[2:-66],
    "a payload": lambda data: data.replace(b"\xa0\xf6", b"\xa0\x40"),
    "text for the signature": lambda data: (
        data.replace(b"\xa0\xf6\x58\x40", b"\xa0\xf6\x78\x40")[:-64] + b"a" * 64
    ),
    "both forms in the wrong order": lambda data: data.replace(
        b"\xa0\xf6", b"\xa2\x0b\xf6\x19\x01\x8c\xf6\xf6"
    ),
    "another entry": lambda data: data.replace(b"\xa0\xf6", b"\xa1\x04\x41\x00\xf6"),
    "an entry by name": lambda data: data.replace(b"\xa0\xf6", b"\xa1\x61\x61\x00\xf6"),
    "a proof of nothing": lambda data: data.replace(b"\xa0\xf6", b"\xa1\x19\x01\x8c\xa1\x20\x81\x40\xf6"),
    "a proof in a list": lambda data: data.replace(b"\xa0\xf6", b"\xa1\x19\x01\x8c\x81\x00\xf6"),
    "a proof that ends too early": lambda data: data.replace(
        b"\xa0\xf6", b"\xa1\x19\x01\x8c\xa1\x20\x81\x42\x83\x02\xf6"
    ),
    "a proof with an overlong number": lambda data: data.replace(
        b"\xa0\xf6", b"\xa1\x19\x01\x8c\xa1\x20\x81\x45\x83\x18\x02\x00\x80\xf6"
    ),
    "a float": lambda _: b"\xf9\x3c\x00",
}


@pytest.mark.parametrize("form", OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_canonical_cbor_of_any_other_form_is_a_bad_signature(form: Callable[[bytes], bytes]) -> None:
    data = form(sign_header(header(1), NETWORK, VN))
    check_form(data)
    for refuses in (
        parse_signature,
        lambda one: verify(header(1), one),
        lambda one: to_be_signed(header(1), one),
    ):
        with pytest.raises(BadSignature):
            refuses(data)


@pytest.mark.parametrize(
    "data", [b"", b"\xd2", b"\x9f\xff", b"\x18\x00", b"\xd2\x84\x58\x01\x00\xa0\xf6\x40"]
)
def test_what_is_not_canonical_cbor_is_said_to_be_so(data: bytes) -> None:
    for refuses in (check_form, parse_signature, lambda one: verify(header(1), one)):
        with pytest.raises(NotCanonical):
            refuses(data)


@pytest.mark.parametrize("size", [1, 1_025])
def test_a_batch_has_at_least_2_and_at_most_1024_headers(size: int) -> None:
    """Made as a batch is, but for its size."""
    data = header(1)
    tree = Tree(map(leaf_hash, [data] * size))
    claims = signing._of_batch("vn", size, NETWORK)
    proof = BatchProof(size, 0, tuple(tree.inclusion_path(0)))
    protected, signature, _ = signing._sign(claims, tree.root(), VN, None)
    with pytest.raises(BadSignature, match="less than 2 or more than 1024"):
        verify(data, assembled(protected, signature, None, proof))


# --- receipts -----------------------------------------------------------------------------------------

RECEIPT = Receipt(
    salt=bytes(16),
    member="jp",
    deliveries=(bytes(32), b"\1" * 32),
    event=Event.DELIVERED,
    channel="folder",
    code=None,
    at=AT,
)


def resigned(
    change: Callable[[Receipt], Receipt], signer: Signer = JP, network: str = NETWORK
) -> SignedReceipt:
    return sign_receipt(change(RECEIPT), network, signer)


def test_a_receipt_opens_for_the_member_that_signed_it() -> None:
    signed = resigned(lambda receipt: receipt)
    assert open_receipt(signed, keyring("jp_ed25519"), NETWORK, AT) == RECEIPT
    with pytest.raises(BadSignature):
        open_receipt(signed, keyring("vn_ed25519"), NETWORK, AT)
    with pytest.raises(UnknownKey):
        open_receipt(signed, replace(keyring(), signing=()), NETWORK, AT)


def test_a_receipt_is_countersigned_where_the_directory_says_so() -> None:
    held = keyring("jp_ed25519", pq=True)
    open_receipt(sign_receipt(RECEIPT, NETWORK, JP, VN_PQ), held, NETWORK, AT)
    with pytest.raises(BadSignature):
        open_receipt(sign_receipt(RECEIPT, NETWORK, JP), held, NETWORK, AT)


def batched() -> SignedReceipt:
    """The proof of a batch, put into a receipt's signature."""
    proof = b"\xa1\x19\x01\x8c\xa1\x20\x81" + cbor.bstr(cbor.encode([2, 0, [bytes(32)]]))
    signed = resigned(lambda receipt: receipt)
    return replace(signed, signature=signed.signature.replace(b"\xa0\xf6", proof + b"\xf6"))


REFUSED_RECEIPTS: dict[str, tuple[SignedReceipt, str]] = {
    "of no deliveries": (resigned(lambda receipt: replace(receipt, deliveries=())), "not-canonical"),
    "of 1,025 deliveries": (
        resigned(
            lambda receipt: replace(
                receipt, deliveries=tuple(number.to_bytes(32, "big") for number in range(1_025))
            )
        ),
        "not-canonical",
    ),
    "of one delivery twice": (
        resigned(lambda receipt: replace(receipt, deliveries=(bytes(32),) * 2)),
        "not-canonical",
    ),
    "of a member whose name is none": (
        resigned(lambda receipt: replace(receipt, member="JP")),
        "not-canonical",
    ),
    "with a byte left": (
        replace(one := resigned(lambda receipt: receipt), receipt=one.receipt + b"\0"),
        "not-canonical",
    ),
    "changed after signing": (
        replace(one, receipt=records.encode(replace(RECEIPT, event=Event.READ))),
        "bad-signature",
    ),
    "for another network": (resigned(lambda receipt: receipt, network="exercise"), "bad-signature"),
    "by another member": (resigned(lambda receipt: receipt, VN), "bad-signature"),
    "as one of a batch": (batched(), "bad-signature"),
}


@pytest.mark.parametrize(("signed", "code"), REFUSED_RECEIPTS.values(), ids=REFUSED_RECEIPTS)
def test_a_receipt_that_does_not_hold_is_refused(signed: SignedReceipt, code: str) -> None:
    with pytest.raises(Refused) as caught:
        open_receipt(signed, keyring("jp_ed25519"), NETWORK, AT)
    assert caught.value.code == code


def test_1024_deliveries_have_one_signature() -> None:
    many = replace(RECEIPT, deliveries=tuple(number.to_bytes(32, "big") for number in range(1_024)))
    assert open_receipt(sign_receipt(many, NETWORK, JP), keyring("jp_ed25519"), NETWORK, AT) == many


def test_a_header_is_no_receipt_and_a_receipt_no_header() -> None:
    data = header(1)
    signed = SignedReceipt(data, sign_header(data, NETWORK, VN))
    with pytest.raises(NotCanonical):
        open_receipt(signed, keyring(), NETWORK, AT)
    with pytest.raises(BadSignature):
        verify(data, sign_receipt(replace(RECEIPT, member="vn"), NETWORK, VN).signature)


def test_what_a_batch_shares_is_verified_once_but_whose_key_counts_is_judged_each_time() -> None:
    headers = [header(number + 1) for number in range(4)]
    signatures = sign_batch(headers, NETWORK, VN)
    before = signing._covers_batch.cache_info()
    for data, signature in zip(headers, signatures, strict=True):
        verify(data, signature)
    after = signing._covers_batch.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 3)

    with pytest.raises(UnknownKey):
        verify(headers[3], signatures[3], candidates=())
    with pytest.raises(BadSignature):
        verify(headers[3], signatures[3], candidates=(member_key("jp_ed25519"),))
    with pytest.raises(BadSignature):
        verify(header(9), signatures[3])


def test_what_was_refused_of_a_batch_stays_refused() -> None:
    headers = [header(number + 1) for number in range(2)]
    parts = parse_signature(sign_batch(headers, NETWORK, VN)[0])
    forged = assembled(parts.protected, bytes(64), None, parts.proof)
    for _ in range(2):
        with pytest.raises(BadSignature):
            verify(headers[0], forged)


@pytest.mark.parametrize("node", [b"", bytes(31), bytes(33), bytes(300)])
def test_a_path_is_of_hashes(node: bytes) -> None:
    headers = [header(1), header(2)]
    parts = parse_signature(sign_batch(headers, NETWORK, VN)[0])
    assert parts.proof is not None
    for path in ((node,), (*parts.proof.path, node)):
        other = assembled(parts.protected, parts.signature, None, BatchProof(2, 0, path))
        with pytest.raises(BadSignature):
            verify(headers[0], other)


@pytest.mark.parametrize("key", [VN, VN_P256], ids=["Ed25519", "ESP256"])
@pytest.mark.parametrize("media_type", [signing.HEADER_TYPE, signing.BATCH_TYPE, signing.RECEIPT_TYPE])
@pytest.mark.parametrize("subject", ["", "halong:vn/asia-pacific/main/17", "x" * 23, "x" * 24, "x" * 300])
def test_a_protected_header_is_the_one_encoding_of_its_map(
    key: Signer, media_type: str, subject: str
) -> None:
    expected: dict[int, object] = {
        1: signing.ALGORITHM_IDS[key.public.algorithm],
        4: key.public.id,
        15: {1: "vn", 2: subject, 3: NETWORK},
        16: media_type,
        **({395: 1} if media_type == signing.BATCH_TYPE else {}),
    }
    claims = signing._Claims(media_type, "vn", subject, NETWORK)
    for _ in range(2):
        assert claims.protected(key.public) == cbor.encode(expected)
