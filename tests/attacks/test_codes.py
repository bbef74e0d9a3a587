"""Every code that anything can be refused with has its row in a table of attacks, and no row another."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from broker.core.errors import HalongError


def leaves(kind: type[HalongError]) -> Iterator[type[HalongError]]:
    """The classes of `core.errors` that have a code of their own."""
    for each in kind.__subclasses__():
        if each.__module__ == HalongError.__module__:
            if "code" in vars(each):
                yield each
            yield from leaves(each)


def tables() -> dict[str, set[str]]:
    found = {}
    here = Path(__file__).parent
    for path in (*here.glob("test_*_attacks.py"), here / "test_evil_hub.py"):
        found[path.stem] = {row.code for row in import_module(f"tests.attacks.{path.stem}").ROWS}
    return found


def test_the_codes_of_the_attack_tables_are_the_codes_of_the_error_tree() -> None:
    attacked = set().union(*tables().values())
    known = {each.code for each in leaves(HalongError)}

    assert known - attacked == set(), "no attack is refused with these"
    assert attacked - known == set(), "no error has these"


def test_no_two_errors_share_a_code() -> None:
    codes = [each.code for each in leaves(HalongError)]

    assert len(codes) == len(set(codes))
