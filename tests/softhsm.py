"""Real tokens for the tests that need one: SoftHSM's, in a folder of each test.

Without SoftHSM those tests are skipped with what to install, or fail if HALONG_REQUIRE_SOFTHSM=1 or
HALONG_REQUIRE_KAFKA=1: where the one is required, the other is, too.
"""

from __future__ import annotations

import os
from pathlib import Path

import pkcs11
import pytest

from broker.keyring import token
from broker.keyring.place import KeyPlace, token_place
from deploy.softhsm.softhsm import SoftHsm, SoftHsmMissing, module

PIN = "correct horse"


class Tokens:
    """SoftHSM with one token, `halong`, whose PIN is in a file."""

    def __init__(self, hsm: SoftHsm) -> None:
        self.hsm = hsm
        self.pin_file = hsm.folder / "pin"
        hsm.make_token("halong", PIN)
        self.begin()
        self.pin_file.write_text(f"{PIN}\n")

    def place(self, label: str, token: str = "halong") -> KeyPlace:
        """Where a key of this label is."""
        return token_place(token, label, self.hsm.module, f"file:{self.pin_file}")

    def without_pin(self, label: str) -> KeyPlace:
        return token_place("halong", label, self.hsm.module)

    def begin(self) -> None:
        """Know no more than a new process would."""
        token._modules.clear()
        pkcs11.lib(str(self.hsm.module)).reinitialize()

    def take_out(self) -> None:
        """Take all tokens out of their slots."""
        self.hsm.tokens.rename(self.hsm.folder / "taken out")
        self.hsm.tokens.mkdir()

    def put_in(self) -> None:
        self.hsm.tokens.rmdir()
        (self.hsm.folder / "taken out").rename(self.hsm.tokens)


@pytest.fixture(scope="session")
def softhsm_module() -> Path:
    """SoftHSM's module."""
    try:
        return module()
    except SoftHsmMissing as missing:
        if "1" in (os.environ.get("HALONG_REQUIRE_SOFTHSM"), os.environ.get("HALONG_REQUIRE_KAFKA")):
            pytest.fail(f"install {missing}", pytrace=False)
        pytest.skip(f"to run it, install {missing}")


@pytest.fixture
def tokens(softhsm_module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tokens:
    """A token of this test's own."""
    hsm = SoftHsm(tmp_path / "softhsm", softhsm_module)
    for name, value in hsm.environment.items():
        monkeypatch.setenv(name, value)
    return Tokens(hsm)
