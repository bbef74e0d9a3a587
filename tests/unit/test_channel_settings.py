"""Channels in `member.toml`: strict, no secret in it, nothing in clear, and an error says what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adapters.channels.settings import FolderSettings
from adapters.configuration import MEMBER_FILE, load_node_config
from adapters.node import make_channels
from broker.core.errors import BadConfiguration

LEAST = 'member = "jp"\nnetwork = "n"\n[channels.desk]\n'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwCODEwZ7NyhQ=\n"


def load(folder: Path, text: str) -> None:
    (folder / MEMBER_FILE).write_text(LEAST + text)
    make_channels(load_node_config(folder))


def test_a_channel_that_names_no_kind_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / MEMBER_FILE).write_text(LEAST + 'path = "x"\n')
    (channel,) = load_node_config(tmp_path).channels.values()
    assert channel == FolderSettings(path=Path("x"))
    assert channel.mode == 0o640


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('kind = "webhook"\nurl = "https://u:p@h/x"\nsecret_file = "s"\n', "password in it"),
        ('kind = "webhook"\nurl = "http://example.org/x"\nsecret_file = "s"\n', "this machine alone"),
        ('kind = "webhook"\nurl = "ftp://example.org/x"\nsecret_file = "s"\n', "no https"),
        ('kind = "webhook"\nurl = "https://example.org/x"\n', "anybody could post"),
        ('kind = "webhook"\nurl = "https://h/x"\nsecret = "whsec_"\n', "unknown field `secret`"),
        ('kind = "webhook"\nurl = "https://h/x"\ncertificate = "c"\n', "go together"),
        ('kind = "mail"\nhost = "h"\nsender = "a@b"\nrecipients = []\n', "length >= 1"),
        ('kind = "mail"\nhost = "h"\nsender = "a@b"\nrecipients = ["x\\r\\nBcc: y@z"]\n', "no address"),
        ('kind = "mail"\nhost = "h"\nsender = "a@b"\nrecipients = ["c@d"]\ntls = "none"\n', "tls"),
        (
            'kind = "mail"\nhost = "h"\nsender = "a@b"\nrecipients = ["c@d"]\nusername = "u"\n',
            "go together",
        ),
        ('kind = "sql"\nurl = "postgresql://u:p@h/d"\n', "password in it"),
        ('kind = "sql"\nurl = "postgresql://h/d?password=p"\n', "password in it"),
        ('kind = "sql"\nurl = "mysql://h/d"\n', "neither"),
        ('kind = "sql"\nurl = "sqlite:///x"\ntable = "x; DROP TABLE y"\n', "no plain name"),
        ('kind = "kafka"\nbootstrap = ["far.example:9092"]\ntopic = "t"\n', "without TLS"),
        (
            'kind = "kafka"\nbootstrap = ["localhost:9092"]\ntopic = "t"\ncertificate = "c"\nkey = "k"\n',
            "nothing would be encrypted",
        ),
        ('kind = "kafka"\nbootstrap = ["localhost:9092"]\ntopic = "t t"\n', "no name of a topic"),
        ('kind = "exec"\ncommand = []\n', "length >= 1"),
        ('kind = "exec"\ncommand = "rm -rf x"\n', "array"),
        ("timeout_seconds = 0\n", "> 0"),
        ("mode = 0o1777\n", "<= 511"),
        ('statuses = ["REAL"]\n', "REAL"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_with_the_reason(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(BadConfiguration) as caught:
        load(tmp_path, text)
    assert says in str(caught.value)
    assert MEMBER_FILE in str(caught.value.field)


def test_a_name_that_would_be_a_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / MEMBER_FILE).write_text('member = "jp"\nnetwork = "n"\n[channels."../x"]\n')
    with pytest.raises(BadConfiguration, match="name"):
        load_node_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (SECRET, 0o644, "others may read"),
        ("whsec_c2hvcnQ=\n", 0o600, "at least 24 bytes"),
        ("not base64!\n", 0o600, "base64"),
        ("", 0o600, "at least 24 bytes"),
        (None, 0o600, "No such file"),
    ],
)
def test_a_secret_is_strong_and_nobody_elses_to_read(
    tmp_path: Path, content: str | None, mode: int, says: str
) -> None:
    if content is not None:
        (tmp_path / "s").write_text(content)
        (tmp_path / "s").chmod(mode)
    with pytest.raises(BadConfiguration) as caught:
        load(tmp_path, 'kind = "webhook"\nurl = "https://h/x"\nsecret_file = "s"\n')
    assert says in str(caught.value)
    assert caught.value.field == str(tmp_path / "s")


@pytest.mark.parametrize(
    ("text", "library", "extra"),
    [
        ('kind = "mail"\nhost = "h"\nsender = "a@b"\nrecipients = ["c@d"]\n', "aiosmtplib", "mail"),
        ('kind = "sql"\nurl = "postgresql:///d"\n', "psycopg", "sql"),
        ('kind = "kafka"\nbootstrap = ["localhost:9092"]\ntopic = "t"\n', "aiokafka", "kafka"),
    ],
)
def test_an_extra_that_is_missing_is_named(
    tmp_path: Path, text: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.startswith((f"{library}.", "adapters.channels.mail", "adapters.channels.sql_p")) or name in {
            library,
            "adapters.channels.kafka",
        }:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Missing(library), *sys.meta_path])
    with pytest.raises(BadConfiguration, match=rf"pip install 'halong\[{extra}\]'"):
        load(tmp_path, text)


class _Missing:
    """As if a library were not installed."""

    def __init__(self, library: str) -> None:
        self._library = library

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] == self._library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
