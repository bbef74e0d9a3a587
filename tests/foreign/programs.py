"""Programs of others that judge what we wrote."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, install: str) -> str:
    """Return the program's path; without it skip, or fail where nothing may be left out."""
    path = shutil.which(name)
    if path is not None:
        return path
    missing = f"{name} is not installed: {install}"
    # `.ci/run` sets this for everything that a small machine may lack, Kafka first of all.
    if os.environ.get("HALONG_REQUIRE_KAFKA") == "1":
        pytest.fail(missing)
    pytest.skip(missing)
