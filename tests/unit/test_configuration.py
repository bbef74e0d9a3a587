from __future__ import annotations

from pathlib import Path

import pytest

from broker.configuration import load_hub_config
from broker.core.errors import BadConfiguration


def test_paths_and_the_log_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('network = "x"\n[keys]\nlog = "k/log.pem"\n[listen]\nport = 1\n')

    config = load_hub_config(tmp_path)

    assert config.path(config.keys.log) == tmp_path / "k/log.pem"
    assert config.path(config.directory) == tmp_path / "directory"
    assert config.log_url == f"sqlite://{tmp_path}/log.db"
    assert (config.listen.port, config.listen.host) == (1, "0.0.0.0")


def test_an_absolute_log_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('network = "x"\nlog = "sqlite:////var/lib/ha long/log.db"\n')

    assert load_hub_config(tmp_path).log_url == "sqlite:///var/lib/ha%20long/log.db"


def test_a_log_on_kafka_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('network = "x"\nlog = "kafka://k1:9092"\n')

    assert load_hub_config(tmp_path).log_url == "kafka://k1:9092"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "network"),
        ("network = 3", "$.network"),
        ('network = "x"\nnetwerk = "y"', "netwerk"),
        ('network = "x"\nroot = "/"', "root"),
        ('network = "x"\n[limits]\nburst = 3', "burst"),
        ('network = "x"\n[listen]\nport = "1"', "$.listen.port"),
        ('network = "x"\ndirectory = 3', "$.directory"),
        ("network =", "no TOML"),
        ("network = '\xff'", "no TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_key_at_fault(
    tmp_path: Path, text: str, named: str
) -> None:
    (tmp_path / "hub.toml").write_bytes(text.encode("latin-1"))

    with pytest.raises(BadConfiguration) as error:
        load_hub_config(tmp_path)

    assert named in str(error.value)
    assert error.value.field == str(tmp_path / "hub.toml")


def test_a_missing_file_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="halong init hub"):
        load_hub_config(tmp_path)
