"""Private keys by name: what a name may be, what is shown of it, and keys in encrypted files."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from adapters.configuration import load_node_config
from adapters.node import load_identity
from broker.backup.folder import contents_of
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, PrivateKey
from broker.keyring import KeyPlace, make_signer, open_signer
from broker.keyring.secret import Secret, from_descriptor, from_file, nobody

MODULE = "module-path=/usr/lib/softhsm/libsofthsm2.so"
PHRASE = "correct horse battery"


def said(text: str) -> Secret:
    return Secret(text)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("keys/sign.pem", "keys/sign.pem"),
        ("file:keys/sign.pem", "keys/sign.pem"),
        ("file:///var/lib/key%20one.pem", "/var/lib/key one.pem"),
        ("file://localhost/k.pem", "/k.pem"),
    ],
)
def test_a_file_is_named_by_its_path_or_by_a_uri(name: str, path: str) -> None:
    place = KeyPlace(name)
    assert (place.file, place.token, place.shown) == (Path(path), None, name)


def test_of_a_key_on_a_token_everything_is_known_and_no_pin_source_is_shown() -> None:
    place = KeyPlace(
        f"pkcs11:token=a%20b;object=sign;id=%01%FF;type=private?{MODULE}&pin-source=file:/run/pin"
    )
    token = place.token
    assert token is not None
    assert token.attributes == {"token": "a b", "object": "sign"}
    assert (token.id, str(token.module)) == (b"\x01\xff", "/usr/lib/softhsm/libsofthsm2.so")
    assert token.pin_source == "file:/run/pin"
    assert place.shown == token.shown == "pkcs11:token=a%20b;object=sign;id=%01%FF;type=private"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("", "a key is a file"),
        ("file://elsewhere/k.pem", "another machine"),
        ("file:%zz", "two hexadecimal digits"),
        (f"pkcs11:token=t;object=o?{MODULE}&pin-value=1234", "a PIN does not belong"),
        (f"pkcs11:token=t;object=o;pin-value=1234?{MODULE}", "a PIN does not belong"),
        ("pkcs11:token=t;object=o", "names no module-path"),
        ("pkcs11:token=t;object=o?module-path=libsofthsm2.so", "full path"),
        (f"pkcs11:object=o?{MODULE}", "names no token"),
        (f"pkcs11:token=t?{MODULE}", "neither object nor id"),
        (f"pkcs11:token=t;object=o;type=public?{MODULE}", "leave out type"),
        (f"pkcs11:token=t;token=u;object=o?{MODULE}", "once each there may be"),
        (f"pkcs11:token=t;object=o;slot-id=1?{MODULE}", "once each there may be"),
        (f"pkcs11:token=%zz;object=o?{MODULE}", "two hexadecimal digits"),
        (f"pkcs11:token=%ff;object=o?{MODULE}", "no text in UTF-8"),
    ],
)
def test_what_is_no_name_is_refused_without_its_secrets(name: str, what: str) -> None:
    with pytest.raises(BadConfiguration, match=what) as refused:
        KeyPlace(name)
    assert "1234" not in f"{refused.value} {refused.value.field}"


def test_a_key_in_an_encrypted_file_signs_once_its_passphrase_is_said(tmp_path: Path) -> None:
    place = KeyPlace("file:keys/sign.pem")
    made = make_signer(place, Algorithm.ESP256, tmp_path, lambda _: said(PHRASE), encrypted=True)
    assert (tmp_path / "keys/sign.pem").stat().st_mode & 0o077 == 0
    assert b"ENCRYPTED" in (tmp_path / "keys/sign.pem").read_bytes()
    asked: list[str] = []
    opened = open_signer(place, tmp_path, lambda what: asked.append(what) or said(PHRASE))
    assert opened.public == made.public
    assert made.public.verify(opened.sign(b"data"), b"data")
    assert asked == ["passphrase of file:keys/sign.pem"]
    with pytest.raises(BadConfiguration, match="nobody is there"):
        open_signer(place, tmp_path)
    with pytest.raises(BadConfiguration, match="the passphrase is another"):
        open_signer(place, tmp_path, lambda _: said("wrong horse battery"))
    with pytest.raises(BadConfiguration, match="not overwritten"):
        make_signer(place, Algorithm.ESP256, tmp_path)


def test_a_passphrase_that_is_missing_or_short_encrypts_nothing(tmp_path: Path) -> None:
    for ask, what in ((nobody, "nobody"), (lambda _: said("short"), "at least 12")):
        with pytest.raises(BadConfiguration, match=what):
            make_signer(KeyPlace("k.pem"), Algorithm.ED25519, tmp_path, ask, encrypted=True)
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_comes_from_a_file_or_a_descriptor_and_only_its_first_line_counts(
    tmp_path: Path,
) -> None:
    (tmp_path / "phrase").write_text(f"{PHRASE}\nmore\n")
    assert from_file(tmp_path / "phrase")("any") == said(PHRASE)
    ask = from_descriptor(os.open(tmp_path / "phrase", os.O_RDONLY))
    assert ask("one") == ask("another") == said(PHRASE)
    assert PHRASE not in repr(ask("any"))
    with pytest.raises(BadConfiguration, match="cannot be read"):
        from_file(tmp_path / "none")("any")
    with pytest.raises(BadConfiguration, match="cannot be read"):
        from_descriptor(9_999)("any")
    for content, what in ((b"\n", "is empty"), (b"\xff", "no text"), (b"x" * 5_000, "longer than")):
        (tmp_path / "phrase").write_bytes(content)
        with pytest.raises(BadConfiguration, match=what):
            from_file(tmp_path / "phrase")("any")


def test_a_node_s_settings_name_keys_either_way_and_where_the_passphrase_is(tmp_path: Path) -> None:
    key = PrivateKey.generate(Algorithm.ED25519)
    (tmp_path / "sign.pem").write_bytes(key.to_pem(PHRASE.encode()))
    (tmp_path / "phrase").write_text(PHRASE)
    settings = 'member = "vn"\nnetwork = "n"\n[keys]\nsign = "{}"\npassphrase_file = "phrase"\n'
    (tmp_path / "member.toml").write_text(settings.format("file:sign.pem"))
    config = load_node_config(tmp_path)
    assert load_identity(config).signer.public == key.public
    # A backup takes both as secrets, wherever they are.
    assert {"sign.pem", "phrase"} <= set(contents_of(config, tmp_path, []).secret)
    (tmp_path / "member.toml").write_text(settings.format("pkcs11:token=t;object=o?pin-value=1234"))
    with pytest.raises(BadConfiguration, match="a PIN does not belong") as refused:
        load_node_config(tmp_path)
    assert "1234" not in str(refused.value)


def test_a_token_that_settings_name_is_nothing_that_a_backup_could_take(tmp_path: Path) -> None:
    place = KeyPlace(f"pkcs11:token=t;object=o?{MODULE}")

    class Keys(msgspec.Struct):
        sign: KeyPlace

    assert contents_of(Keys(place), tmp_path, []).secret == ["keys"]
