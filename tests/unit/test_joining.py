"""What people send each other when a member joins is bounded and compared."""

import pytest

from broker.core.errors import BadConfiguration
from broker.directory import joining
from broker.directory.joining import decoded


def test_a_file_that_is_larger_than_any_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "MOST_BYTES", 100)
    assert decoded(b'{"halong": 1}'.ljust(100), object, "a welcome") == {"halong": 1}
    with pytest.raises(BadConfiguration, match="larger than a welcome ever is"):
        decoded(b'{"halong": 1}'.ljust(101), object, "a welcome")
