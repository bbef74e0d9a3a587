"""Bundles made and opened: a case becomes files, and files become what they show.

Decides that no bundle is made that does not hold, and that one is opened only if what is there for OpenSSL
and for people is what follows from the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

from broker.core.catalogue import Catalogue
from broker.core.errors import BadEvidence, Refused
from broker.evidence.archive import read_case, write_case
from broker.evidence.case import OPENSSL, PAGE, Case, case_of, files_of
from broker.evidence.checking import Checking, Trust
from broker.evidence.openssl import openssl_files
from broker.evidence.page import case_page
from broker.evidence.report import Found, State, Step


def bundle(case: Case, catalogue: Catalogue) -> bytes:
    """Return the bundle of a case.

    Raises:
        Refused: The case does not hold.
    """
    found = Checking(case, Trust(), catalogue).run()
    if found.refused is not None:
        raise found.refused
    return write_case({**files_of(case), **_derived(case, found)})


def opened(data: bytes, trust: Trust, catalogue: Catalogue) -> tuple[Case | None, Found]:
    """Return what a bundle holds and shows; the case is None if it is no bundle."""
    found = Found()
    try:
        files = read_case(data)
        case = case_of(files)
    except Refused as refused:
        where = f"{refused.field}: " if refused.field else ""
        found.refused = refused
        found.steps.append(Step("form", State.FAILED, f"{where}{refused}", refused.code))
        return None, found
    form = Step("form", State.HELD, f"a bundle of {len(files)} files, each in its one form")
    found = Checking(case, trust, catalogue).run()
    found.steps.insert(0, form)
    if found.refused is None:
        _compare(files, case, found)
    return case, found


def _compare(files: Mapping[str, bytes], case: Case, found: Found) -> None:
    """See that the copies for OpenSSL and for people say what the rest says."""
    try:
        _check_derived(files, _derived(case, found))
    except BadEvidence as refused:
        found.refused = refused
        found.steps.append(Step("copies", State.FAILED, f"{refused.field}: {refused}", refused.code))
    else:
        found.steps.append(Step("copies", State.HELD, "page and files for OpenSSL say what the rest says"))


def _check_derived(files: Mapping[str, bytes], derived: Mapping[str, bytes]) -> None:
    # 1. Each copy is there, and none besides.
    there = {name for name in files if name == PAGE or name.startswith(OPENSSL)}
    if there != derived.keys():
        raise BadEvidence("a copy is missing, or one too many", field=min(there ^ derived.keys()))
    # 2. Each is what follows.
    for name, data in derived.items():
        if files[name] != data:
            raise BadEvidence("is not what follows from the rest", field=name)


def _derived(case: Case, found: Found) -> dict[str, bytes]:
    assert found.notice is not None
    assert found.log is not None
    return {
        **openssl_files(found.notice, found.log, case.checkpoint),
        PAGE: case_page(case, found).encode(),
    }
