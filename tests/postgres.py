"""A real PostgreSQL for the tests that need one: installed, or from Maven Central; one for the whole run.

Without either those tests are skipped with what to install, or fail if HALONG_REQUIRE_POSTGRES=1 or
HALONG_REQUIRE_KAFKA=1: where the one is required, the other is, too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.postgres.server import PostgresMissing, PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that listens with TLS; each test takes tables of its own."""
    # Not pytest's own folder: the server runs as another user, who may not enter that one.
    folder = Path(tempfile.mkdtemp(prefix="halong-postgres-"))
    server = PostgresServer(folder)
    try:
        try:
            server.start()
        except PostgresMissing as missing:
            if "1" in (os.environ.get("HALONG_REQUIRE_POSTGRES"), os.environ.get("HALONG_REQUIRE_KAFKA")):
                pytest.fail(f"install {missing}", pytrace=False)
            pytest.skip(f"to run it, install {missing}")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
