"""Which checks there are, and how the code reads without one of them.

A check is one of

* a condition whose `if` ends by raising one of our errors, by `fail`, or by withholding; of an `or`, each
  part is one;
* a clause of `broker.core.agreements.first_failure`: a pair of a `Clause` and the condition that must hold;
* a call of a function that exists to refuse: `check_…`, `_check_…`, `verify_…` as a statement of its own.

Taken away, a condition is never true, a clause always holds, a call is not made.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from broker.core import errors

ROOT = Path(__file__).parents[2]
WHERE = (
    "broker/core/*.py",
    "broker/directory/*.py",
    "broker/evidence/*.py",
    "broker/audit/*.py",
    "broker/services/*.py",
    "broker/web/*.py",
    "adapters/directory/*.py",
    "adapters/sending/*.py",
    "adapters/receiving/*.py",
    "adapters/stick/*.py",
    "adapters/witness/*.py",
)
ERRORS = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.HalongError)
}
WITHHOLDING = frozenset({"Withhold", "_quarantine", "Denied"})
FAILING = frozenset({"fail"})
REFUSING = re.compile(r"_?(check|verify)_?\w*")


@dataclass(frozen=True, slots=True)
class Check:
    """One place of the code, what guards there, and what stands there when it is taken away."""

    path: str
    line: int
    within: str
    text: str
    refusal: str
    start: tuple[int, int]
    end: tuple[int, int]
    instead: str

    @property
    def name(self) -> str:
        """Where and what it is, without the line, which moves."""
        return f"{self.path} {self.within}: {self.text}"

    def without(self, source: bytes) -> bytes:
        """Return the file's text without the check."""
        lines = source.splitlines(keepends=True)
        (first, from_column), (last, to_column) = self.start, self.end
        before, after = lines[first - 1][:from_column], lines[last - 1][to_column:]
        return b"".join([*lines[: first - 1], before + self.instead.encode() + after, *lines[last:]])


def all_checks() -> list[Check]:
    """Return every check of the files in `WHERE`."""
    return [
        check
        for pattern in WHERE
        for path in sorted(ROOT.glob(pattern))
        for check in checks_of(str(path.relative_to(ROOT)), path.read_bytes())
    ]


def checks_of(path: str, source: bytes) -> Iterator[Check]:
    """Yield the checks of one file, in the order of its functions."""
    for within, node in _with_functions(ast.parse(source), ""):
        for part, refusal, instead in _removable(node):
            text = ast.unparse(part)
            end = (part.end_lineno or part.lineno, part.end_col_offset or 0)
            yield Check(
                path, part.lineno, within, text, refusal, (part.lineno, part.col_offset), end, instead
            )


def _with_functions(node: ast.AST, within: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        inner = within
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{within}.{child.name}".lstrip(".")
        yield inner, child
        yield from _with_functions(child, inner)


def _removable(node: ast.AST) -> Iterator[tuple[ast.expr, str, str]]:
    match node:
        case ast.If(test=test, body=[*_, last]) if refusal := _refusal(last):
            parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or) else [test]
            for part in parts:
                yield part, refusal, "False"
        case ast.Tuple(elts=[ast.Attribute(value=ast.Name(id="Clause"), attr=clause), condition]):
            yield condition, clause, "True"
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) as call):
            if REFUSING.fullmatch(name):
                yield call, name, "None"


def _refusal(last: ast.stmt) -> str:
    """Return what the statement refuses with, or nothing."""
    called: ast.expr | None = None
    match last:
        case ast.Raise(exc=ast.Call(func=called)) | ast.Raise(exc=called):
            known = ERRORS
        case ast.Return(value=ast.Call(func=called)):
            known = WITHHOLDING
        case ast.Expr(value=ast.Call(func=called)):
            known = FAILING
        case _:
            return ""
    match called:
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in known:
            return name
        case _:
            return ""
