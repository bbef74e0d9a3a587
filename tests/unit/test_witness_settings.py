"""What the settings of a node may say of its witness, and what they may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from adapters.configuration import NodeConfig, NodeKeys, NodeWitness
from adapters.hub import LogHub
from adapters.witness.parts import load_witnessing
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, PrivateKey
from broker.core.note import LogKey
from broker.keyring import KeyPlace
from broker.keyring.secret import nobody

LOG = LogKey("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(32)).public)


def loaded(folder: Path, *, key: bool = True, **settings: Any) -> Any:
    (folder / "witness.pem").write_bytes(PrivateKey.from_seed(Algorithm.ED25519, bytes(32)).to_pem())
    (folder / "policy").write_text(f"log {LOG.vkey}\nquorum none\n")
    keys = NodeKeys(witness=KeyPlace("witness.pem") if key else None)
    config = NodeConfig(
        member="vn", network="halong-test", root=folder, keys=keys, witness=NodeWitness(**settings)
    )
    return load_witnessing(config, cast("LogHub", None), nobody)


@pytest.mark.parametrize("listen", ["192.0.2.7:8447", "[2001:db8::7]:65535", "localhost:0"])
def test_a_witness_that_has_a_key_may_be_asked_at_an_address(tmp_path: Path, listen: str) -> None:
    loaded(tmp_path, listen=listen)
    with pytest.raises(BadConfiguration, match="has a key"):
        loaded(tmp_path, listen=listen, key=False)


@pytest.mark.parametrize("listen", ["", "8447", ":8447", "192.0.2.7", "192.0.2.7:65536", "x:y", "a b:1"])
def test_what_is_no_address_is_said_to_be_none(tmp_path: Path, listen: str) -> None:
    with pytest.raises(BadConfiguration, match="an address and a port"):
        loaded(tmp_path, listen=listen)


def test_one_of_the_two_says_how_many_are_enough(tmp_path: Path) -> None:
    loaded(tmp_path, policy=Path("policy"))
    loaded(tmp_path, quorum=2)
    with pytest.raises(BadConfiguration, match="a policy says itself"):
        loaded(tmp_path, policy=Path("policy"), quorum=2)
    with pytest.raises(BadConfiguration, match="cannot be read"):
        loaded(tmp_path, policy=Path("nowhere"))
