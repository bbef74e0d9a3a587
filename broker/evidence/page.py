"""The page of a bundle: in two languages, what it proves and what it does not, and how to check it.

Decides what is said, from what the check found alone: a page says nothing that was not shown.  Everything is
escaped and isolated, and the page loads and runs nothing (`schemas.rendering.sealed_style`).  Whoever opens a
bundle draws the page again and compares, so its words are part of the bundle's form.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from broker.core.model import DeliveryHead, Slot
from broker.core.notice_json import time_to_json
from broker.core.tlog_proof import read_proof
from broker.directory.roles import ROOT
from broker.evidence.case import Case, Logged
from broker.evidence.openssl import commands
from broker.evidence.report import Found
from schemas.readable import visible
from schemas.rendering import sealed_style

LANGUAGES = ("en", "vi")
FOLDERS = ("statement", "decision", "deliveries", "receipts", "erasure", "directory", "log")
ALWAYS = ("true", "hands", "read", "everything", "agreements", "same")


@dataclass(frozen=True, slots=True)
class Reading:
    """The page in one language."""

    language: str
    words: Mapping[str, str]
    title: str
    facts: tuple[tuple[str, str], ...]
    proves: tuple[str, ...]
    not_proves: tuple[str, ...]
    verify: str
    openssl: tuple[str, ...]
    inside: tuple[tuple[str, str], ...]


def case_page(case: Case, found: Found) -> str:
    """Return the page of a case that was found good."""
    style, policy = sealed_style(_text("page.css", "schemas.agreements") + _text("page.css"))
    name = visible(case.manifest.reference.removeprefix("halong:"))
    readings = [_Reading(case, found, language).reading() for language in LANGUAGES]
    return _template().render(
        readings=readings, style=style, policy=policy, name=name, statement=case.manifest.statement
    )


def oldest_root(case: Case) -> tuple[str, str]:
    """Return name and fingerprint of the oldest root of the directory in a case."""
    end = f".{ROOT}.json"
    names = [name for name in case.directory if name.endswith(end)]
    name = min(names, key=lambda each: int(each.removeprefix("metadata/").removesuffix(end)))
    return name, sha256(case.directory[name]).hexdigest()


class _Reading:
    """One page being written in one language."""

    def __init__(self, case: Case, found: Found, language: str) -> None:
        self._case = case
        self._found = found
        self._language = language
        self._words = _words(language)
        self._root = oldest_root(case)

    def reading(self) -> Reading:
        words, found = self._words, self._found
        assert found.notice is not None
        reference = visible(found.notice.reference.removeprefix("halong:"))
        root_name, root = self._root
        return Reading(
            language=self._language,
            words=words,
            title=words["title"].format(reference=reference),
            facts=tuple(self._facts(reference)),
            proves=tuple(self._proves()),
            not_proves=tuple(self._not_proves()),
            verify=f"halong verify case.zip --root {root}",
            openssl=commands(found.notice.key.public, root_name),
            inside=tuple((f"{each}/", words[f"inside_{each}"]) for each in self._folders()),
        )

    def _facts(self, reference: str) -> list[tuple[str, str]]:
        words, found = self._words, self._found
        assert found.notice is not None
        assert found.log is not None
        assert found.tree is not None
        header = found.notice.header
        facts = [
            (words["reference"], reference),
            (words["originator"], self._name(header.originator)),
            (words["type"], visible(header.notice_type)),
            (words["issued"], time_to_json(header.issued_at)),
        ]
        if found.decided_at is not None:
            facts.append((words["decided"], time_to_json(found.decided_at)))
        if found.decision is not None:
            members = ", ".join(self._name(share.member) for share in found.decision.shares)
            facts.append((words["shared"], members or words["nobody"]))
        shown = self._shown()
        facts.append((words["shown"], _labels(shown) or words["none"]))
        facts.append((words["absent"], _labels(set(Slot) - shown) or words["none"]))
        if found.erasure is not None:
            facts.append((words["erased"], time_to_json(found.erasure.at)))
        said = words["log_said"].format(
            name=visible(found.log.name), size=found.tree.size, time=time_to_json(found.signed_at)
        )
        facts.append((words["log"], said))
        facts.append((words["root"], self._root[1]))
        return facts

    def _proves(self) -> list[str]:
        case, words, found = self._case, self._words, self._found
        lines = [words["proves_signed"]]
        if case.statement is not None:
            lines.append(words["proves_statement"].format(index=_index(case.statement)))
        if case.decision is not None:
            lines.append(words["proves_decision"].format(index=_index(case.decision)))
        lines += [self._delivery(case.deliveries[member], head) for member, head in found.deliveries.items()]
        for receipt, logged in zip(found.receipts, case.receipts.values(), strict=True):
            line = words["proves_receipt"].format(
                member=self._name(receipt.member),
                time=time_to_json(receipt.at),
                event=receipt.event.name.lower(),
                index=_index(logged),
            )
            lines.append(line)
        if case.erasure is not None and found.erasure is not None:
            ground = words[f"ground_{found.erasure.ground.name.lower()}"]
            erased = words["proves_erased"].format(
                time=time_to_json(found.erasure.at), ground=ground, index=_index(case.erasure)
            )
            lines += [erased, words["proves_erased_still"]]
        return [*lines, words["proves_order"].format(time=time_to_json(found.signed_at))]

    def _delivery(self, logged: Logged, head: DeliveryHead) -> str:
        return self._words["proves_delivery"].format(
            member=self._name(head.member),
            index=_index(logged),
            slots=_labels(set(head.slots)) or self._words["none"],
            grounds=", ".join(f"{visible(each.agreement)}/{each.version}" for each in head.grounds),
        )

    def _not_proves(self) -> list[str]:
        lines = [self._words[f"not_{each}"] for each in ALWAYS]
        if self._found.erasure is not None:
            return [*lines, self._words["not_erased"]]
        return lines if self._shown() == set(Slot) else [*lines, self._words["not_shown"]]

    def _shown(self) -> set[Slot]:
        assert self._found.notice is not None
        return {one.slot for one in self._found.notice.envelope.disclosures}

    def _folders(self) -> list[str]:
        case = self._case
        empty = {
            "decision": case.decision is None,
            "deliveries": not case.deliveries,
            "receipts": not case.receipts,
            "erasure": case.erasure is None,
        }
        return [each for each in FOLDERS if not empty.get(each)]

    def _name(self, member: str) -> str:
        assert self._found.directory is not None
        known = self._found.directory.members.get(member)
        return member if known is None else visible(f"{known.name} ({member})")


def _labels(slots: set[Slot]) -> str:
    return ", ".join(slot.label for slot in sorted(slots))


def _index(logged: Logged) -> int:
    return read_proof(logged.proof).index


@cache
def _words(language: str) -> Mapping[str, str]:
    return tomllib.loads(_text(f"words.{language}.toml"))


@cache
def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


@cache
def _text(name: str, package: str = "broker.evidence") -> str:
    return (files(package) / name).read_text(encoding="utf-8")
