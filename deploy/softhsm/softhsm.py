"""SoftHSM (2.6 or later) on this machine: the installed one, or else installed here by apt.

    python -m deploy.softhsm.softhsm            # installs it if it is missing, prints where its module is

Decides where its module and its program are, and how a token is made in a folder.  SoftHSM keeps its tokens
as files and protects nothing from whoever can read them: it is for tests and for trying ceremonies out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "softhsm2"
PROGRAM = "softhsm2-util"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
INSTALL_SECONDS = 300.0
MAKE_SECONDS = 30.0


class SoftHsmMissing(Exception):
    """SoftHSM is not here and cannot be installed by us; the message says what to do."""


class SoftHsmFailed(Exception):
    """A token could not be made; the message has what the program said."""


def module() -> Path:
    """Return the path of SoftHSM's module; installs it where it is missing and that is allowed.

    Raises:
        SoftHsmMissing: It is not here, and we may not install it, or could not.
    """
    return _installed() or _install()


def _installed() -> Path | None:
    if shutil.which(PROGRAM) is None:
        return None
    return next((path for path in map(Path, MODULES) if path.exists()), None)


def _install() -> Path:
    if shutil.which("apt-get") is None:
        raise SoftHsmMissing(f"SoftHSM 2.6 or later (`{PROGRAM}` and libsofthsm2.so)")
    if os.geteuid() != 0:
        raise SoftHsmMissing(f"SoftHSM: sudo apt-get install {PACKAGE}")
    said = ""
    for command in (["install", "-y", "-q", PACKAGE], ["update", "-q"], ["install", "-y", "-q", PACKAGE]):
        done = subprocess.run(  # noqa: S603  our own command line
            ["apt-get", *command],  # noqa: S607  where the system has it
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            timeout=INSTALL_SECONDS,
            check=False,
        )
        said = done.stdout
        found = _installed()
        if found is not None:
            return found
    raise SoftHsmMissing(f"SoftHSM: `apt-get install {PACKAGE}` ended with: {said[-300:].strip()}")


@dataclass(frozen=True, slots=True)
class SoftHsm:
    """Tokens in a folder of one's own.

    Args:
        folder: Where they are; made when the first is.
        module: SoftHSM's module.
    """

    folder: Path
    module: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process must have set to see these tokens and no others."""
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    @property
    def tokens(self) -> Path:
        """Where the tokens are: taking it away takes them out of their slots."""
        return self.folder / "tokens"

    def make_token(self, label: str, pin: str) -> None:
        """Make a token.

        Raises:
            SoftHsmFailed: The program would not.
        """
        self.tokens.mkdir(parents=True, exist_ok=True)
        settings = f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        (self.folder / "softhsm2.conf").write_text(settings)
        make = ["--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", pin]
        done = subprocess.run(  # noqa: S603  our own command line
            [PROGRAM, *make],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **self.environment},
            timeout=MAKE_SECONDS,
            check=False,
        )
        if done.returncode:
            raise SoftHsmFailed(done.stdout.strip())


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{module()}\n")
    except SoftHsmMissing as missing:
        sys.stderr.write(f"install {missing}\n")
        sys.exit(1)
