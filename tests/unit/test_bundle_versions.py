"""The directory in a bundle: what is no version of it is said so, file by file."""

from __future__ import annotations

from hashlib import sha256

import pytest

from broker.core.errors import BadEvidence
from broker.directory.roles import ROOT, SNAPSHOT, metadata_name
from broker.evidence.versions import Loaded, check_nothing_more, load_in_bundle
from tests.cases import Making


@pytest.fixture(scope="module")
def making(tmp_path_factory: pytest.TempPathFactory) -> Making:
    """A network whose cases are made at will."""
    return Making(tmp_path_factory.mktemp("making"))


def version_of(files: dict[str, bytes]) -> str:
    (snapshot,) = (data for name, data in files.items() if f".{SNAPSHOT}." in name)
    return sha256(snapshot).hexdigest()


def loaded(files: dict[str, bytes]) -> Loaded:
    return load_in_bundle(files, version_of(files), None)


def test_a_directory_without_a_root_is_none(making: Making) -> None:
    files = dict(making.case().directory)
    loaded(files)
    del files[metadata_name(ROOT, 1)]
    for root in (None, making.root):
        with pytest.raises(BadEvidence) as refused:
            load_in_bundle(files, version_of(files), root)
        assert refused.value.field == "root"


def test_a_file_is_the_one_that_its_name_says_also_if_no_reader_looks_into_it(making: Making) -> None:
    files = dict(making.case().directory)
    found = loaded(files)
    check_nothing_more(files, found)
    for name in [each for each in files if each.startswith("files/")]:
        with pytest.raises(BadEvidence) as refused:
            check_nothing_more({**files, name: files[name] + b" "}, found)
        assert refused.value.field == f"directory/{name}"
