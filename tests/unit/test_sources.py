"""The root that a folder's directory is trusted by."""

from pathlib import Path

import pytest

from broker.core.errors import BadConfiguration
from broker.directory.sources import trusted_root


def test_without_a_root_nothing_is_trusted_and_the_way_to_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "1.targets.json").write_text("{}")
    with pytest.raises(BadConfiguration, match="invitation"):
        trusted_root(tmp_path)
