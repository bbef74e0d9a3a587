"""What tests of every folder share."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# No test may fail because the machine is busy.
settings.register_profile("halong", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("halong")

pytest_plugins = ["tests.kafka", "tests.networks", "tests.postgres", "tests.softhsm"]


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
