"""What tests of every folder share."""

import gc
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from broker.backup import sealed

# No test may fail because the machine is busy.
settings.register_profile("halong", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("halong")

pytest_plugins = ["tests.kafka", "tests.networks", "tests.postgres", "tests.softhsm"]


def pytest_collection_finish() -> None:
    """Let the collector pass over what stays to the end: thousands of tests and all modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def cheap_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases are stretched for a moment only; what a guess costs has a test of its own."""
    monkeypatch.setattr(sealed, "COST", 1 << 10)


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Commands that ran in this process say how it logs; the next test does not inherit that."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def unknown_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """How wide the terminal is in which somebody runs the tests changes nothing."""
    monkeypatch.delenv("COLUMNS", raising=False)
