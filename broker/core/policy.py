"""How many witnesses are enough: a policy names logs, witnesses, groups of which k must cosign, and a quorum.

Decides whether a cosigned checkpoint counts.  Leaves to others how keys come to be in a policy: a network's
own is made of the keys that its members list as witnesses (`network_policy`).

Source: c2sp.org/tlog-policy.  Stricter where that leaves a choice: a witness's key is `cosignature/v1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from broker.core.cosignature import CosignatureKey
from broker.core.errors import BadConfiguration, BadProof, NotCosigned
from broker.core.note import LogKey, TreeHead, read_checkpoint
from broker.core.signed_note import split_note

K = TypeVar("K", LogKey, CosignatureKey)

NONE = "none"
MOST_POLICY_BYTES = 1 << 20
CONTROLS = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
NUMBER = re.compile(r"[1-9][0-9]{0,6}")


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses and earlier groups, of which `least` must have witnessed a checkpoint."""

    least: int
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint that a quorum stands behind: its tree, and when each witness cosigned it, by name."""

    tree: TreeHead
    times: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """Which logs are meant, and whose cosignatures are enough.

    `groups` stand in the order of their definition: each refers to what stands before it.  `quorum` is the
    name of a witness or group, or `none`.
    """

    logs: tuple[LogKey, ...]
    witnesses: Mapping[str, CosignatureKey]
    groups: Mapping[str, Group]
    quorum: str

    @classmethod
    def parse(cls, text: bytes) -> Policy:
        """Return the policy in a file.

        Raises:
            BadConfiguration: Naming the line, and what is wrong with it.
        """
        return _Reader().read(text)

    @property
    def least(self) -> int:
        """The fewest cosignatures with which a checkpoint can count."""
        needed = dict.fromkeys(self.witnesses, 1)
        for name, group in self.groups.items():
            needed[name] = sum(sorted(needed[each] for each in group.of)[: group.least])
        return 0 if self.quorum == NONE else needed[self.quorum]

    def check(self, note: bytes) -> Cosigned:
        """Return the checkpoint that `note` is, if one of the logs signed it and the quorum cosigned it.

        Raises:
            BadProof: It is no checkpoint of these logs, or bears a false line of one of the witnesses.
            NotCosigned: The cosignatures on it are not enough.
        """
        # 1. It is a checkpoint of one of the logs, by its key.
        text, lines = split_note(note)
        origin, _ = read_checkpoint(text)
        log = next((each for each in self.logs if each.name == origin), None)
        if log is None:
            raise BadProof("the checkpoint is of no log of the policy", field="checkpoint")
        tree = log.open_checkpoint(note)
        # 2. Every line that names a witness is by it.
        times = {}
        for name, key in self.witnesses.items():
            at = key.cosigned_at(text, lines)
            if at is not None:
                times[name] = at
        # 3. They are enough.
        if not self.satisfied(times):
            raise NotCosigned("not cosigned by the quorum of the policy", field="checkpoint")
        return Cosigned(tree, times)

    def satisfied(self, by: Mapping[str, object]) -> bool:
        """Are the cosignatures of these witnesses, by name, enough?"""
        have = set(by) & set(self.witnesses)
        for name, group in self.groups.items():
            if sum(each in have for each in group.of) >= group.least:
                have.add(name)
        return self.quorum == NONE or self.quorum in have


def network_policy(
    log: LogKey, witnesses: Mapping[str, Sequence[CosignatureKey]], quorum: int | None = None
) -> str:
    """Return the text of a policy: so many of the members must cosign, each by any of its keys.

    Args:
        log: The log.
        witnesses: The keys of each member that has any.
        quorum: How many members; more than half of them without it.  If fewer have a key, all that do.
    """
    lines = [f"log {log.vkey}", ""]
    names = []
    for member, keys in sorted(witnesses.items()):
        name = f"member/{member}"
        parts = [name] if len(keys) == 1 else [f"{name}/{number}" for number in range(1, len(keys) + 1)]
        lines += [f"witness {part} {key.vkey}" for part, key in zip(parts, keys, strict=True)]
        # While a key is replaced the member has two, and is one witness.
        lines += [f"group {name} any {' '.join(parts)}"] if len(keys) > 1 else []
        names += [name] if keys else []
    if not names:
        return "\n".join([*lines, f"quorum {NONE}"]) + "\n"
    least = min(len(names) // 2 + 1 if quorum is None else quorum, len(names))
    return "\n".join([*lines, "", f"group members {least} {' '.join(names)}", "quorum members"]) + "\n"


def witness_name(network: str, member: str) -> str:
    """Return the name under which a member's witness signs."""
    return f"{network}/witness/{member}"


class _Reader:
    """Reads one file, line by line."""

    def __init__(self) -> None:
        self._line = 0
        self._logs: dict[bytes, LogKey] = {}
        self._witnesses: dict[str, CosignatureKey] = {}
        self._groups: dict[str, Group] = {}
        self._listed: set[str] = set()
        self._quorum: str | None = None

    def read(self, text: bytes) -> Policy:
        if len(text) > MOST_POLICY_BYTES:
            raise BadConfiguration("larger than a policy ever is", field="policy")
        if text and not text.endswith(b"\n"):
            raise BadConfiguration("the last line does not end", field="policy")
        for line in text.split(b"\n")[:-1]:
            self._line += 1
            if CONTROLS.search(line):
                self._fail("has a control character")
            # Names are bytes to whoever compares them, whatever they mean.
            words = [each.decode(errors="surrogateescape") for each in re.split(rb"[ \t]+", line) if each]
            if words and not words[0].startswith("#"):
                self._take(*words)
        if self._quorum is None:
            raise BadConfiguration("has no quorum line", field="policy")
        return Policy(tuple(self._logs.values()), self._witnesses, self._groups, self._quorum)

    def _take(self, kind: str, *words: str) -> None:
        match kind, words:
            case "log", (vkey,) | (vkey, _):
                self._log(vkey)
            case "witness", (name, vkey) | (name, vkey, _):
                self._witness(name, vkey)
            case "group", (name, least, *of) if of:
                self._group(name, least, tuple(of))
            case "quorum", (name,):
                self._set_quorum(name)
            case _:
                self._fail("is none of log, witness, group and quorum with what belongs to it")

    def _log(self, vkey: str) -> None:
        key = self._key(LogKey.parse, vkey)
        if key.public.raw in self._logs:
            self._fail("names the key of an earlier log")
        self._logs[key.public.raw] = key

    def _witness(self, name: str, vkey: str) -> None:
        self._define(name)
        key = self._key(CosignatureKey.parse, vkey)
        if any(key.public == each.public for each in self._witnesses.values()):
            self._fail("names the key of an earlier witness")
        self._witnesses[name] = key

    def _group(self, name: str, least: str, of: tuple[str, ...]) -> None:
        self._define(name)
        for each in of:
            if each not in self._witnesses and each not in self._groups:
                self._fail("lists a name that no line before it defines")
            if each in self._listed:
                self._fail("lists a name that is in a group already")
            self._listed.add(each)
        needed = {"all": len(of), "any": 1}.get(least) or (int(least) if NUMBER.fullmatch(least) else 0)
        if not 1 <= needed <= len(of):
            self._fail("needs all, any, or a number from 1 to that of the names listed")
        self._groups[name] = Group(needed, of)

    def _set_quorum(self, name: str) -> None:
        if self._quorum is not None:
            self._fail("is a second quorum")
        if name != NONE and name not in self._witnesses and name not in self._groups:
            self._fail("names what no line before it defines")
        self._quorum = name

    def _define(self, name: str) -> None:
        if name == NONE or name in self._witnesses or name in self._groups:
            self._fail("defines a name that is taken")

    def _key(self, parse: Callable[[str], K], vkey: str) -> K:
        # Key names are text; other bytes would have no id.
        if not vkey.isprintable():
            self._fail("has a key that is not text")
        try:
            return parse(vkey)
        except BadConfiguration as error:
            self._fail(f"has no key that can be used: {error}")

    def _fail(self, why: str) -> NoReturn:
        raise BadConfiguration(f"line {self._line} {why}", field="policy")
