"""`halong key rotate`: the next key is listed, then used, and the one before ends: no gap in between."""

from __future__ import annotations

from pathlib import Path

import click

from adapters.commands.options import ask_for, dir_option
from adapters.configuration import NodeConfig, load_node_config
from adapters.key_changes import (
    DAY,
    HOUR,
    Ending,
    Standing,
    expect_next,
    hand_over,
    next_place,
    point_to,
    request_to_certify,
    request_to_name,
    standing_of,
    waiting_key,
    with_directory_key,
    with_signing_key,
    with_transport_key,
    with_witness_key,
    without_key,
)
from broker.clock import SystemClock
from broker.commands.key.moments import moment_option, said_moment
from broker.core.directory import Member, Revocation
from broker.core.errors import BadConfiguration, KeyLocked, KeyUnavailable
from broker.core.keys import Algorithm, PrivateKey, PublicKey, Signer
from broker.directory.certificates import key_digest
from broker.directory.change import Change
from broker.directory.joining import fingerprint, grouped
from broker.directory.preview import describe, say_needs
from broker.directory.signers import needs_of
from broker.files import write_key, write_whole
from broker.keyring import KeyPlace, NoSuchKey, make_signer, open_signer
from broker.keyring.secret import Ask
from broker.passphrases import passphrase_option
from broker.terminal import Command, answer, clean, confirm, json_option, note, say, style, yes_option

REASONS = {each.value: each for each in Revocation}
NAME_REQUEST, CERTIFY_REQUEST = "keys-request.json", "certificate-request.json"


@click.command(
    "rotate",
    cls=Command,
    short_help="Put the next key in the place of one.",
    examples=[
        "halong key rotate sign --dir vn            # lists the next key; once more, and it is used",
        "halong key rotate directory --dir vn",
        "halong key rotate witness --dir vn         # also for a member that has none yet",
        "halong key rotate directory --dir vn --reason compromised --since 2026-11-20T00:00Z --key spare.pem",
    ],
)
@click.argument("use", type=click.Choice(["sign", "directory", "transport", "witness"]))
@click.option("--to", "to", help="Where the next key is made; beside the present one.")
@click.option("--key", help="A key for the directory that signs this; the one of the settings.")
@click.option(
    "--in-hours", type=click.FloatRange(0), default=1.0, show_default=True, help="sign: counts after."
)
@click.option("--reason", type=click.Choice(sorted(REASONS)), default="superseded", show_default=True)
@moment_option
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to carry to the hub."
)
@dir_option
@passphrase_option
@yes_option
@json_option
def rotate(
    use: str, to: str | None, key: str | None, in_hours: float, reason: str, since: str | None,
    output: Path | None, folder: Path, passphrase_fd: int | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Put the next key for USE in the place of the present one of a member's node.

    sign: the entry lists the next key; the same command again, once it counts, lets the node use it and ends
    the one before a day later.  directory: old and new sign that the old one ends, and two of the secretariat
    name the new one.  transport: the hub certifies the next key, and its welcome switches to it.
    witness: the entry lists the next key and ends the one before a day later; the node uses it after a start.
    """
    config, now = load_node_config(folder), SystemClock().now()
    standing, ask = standing_of(config, SystemClock()), ask_for(config, passphrase_fd)
    step = _Step(standing, key, to, output, ask, now, yes=yes)
    match use:
        case "sign":
            told = step.sign(round(in_hours * HOUR))
        case "transport":
            told = step.transport()
        case "witness":
            told = step.witness()
        case _:
            told = step.directory(Ending(REASONS[reason], said_moment(since, now)))
    if as_json:
        answer(told)
        return
    for name, value in told.items():
        say(f"{style(name.replace('_', ' '), fg='green')} {value}")


class _Step:
    """One step of a rotation, with what it needs."""

    def __init__(
        self, standing: Standing, key: str | None, to: str | None, output: Path | None, ask: Ask, now: int,
        *, yes: bool,
    ) -> None:  # fmt: skip
        self._standing = standing
        self._config: NodeConfig = standing.config
        self._key = key
        self._to = to
        self._output = output
        self._ask = ask
        self._now = now
        self._yes = yes

    def sign(self, after: int) -> dict[str, str]:
        """List the next key for notices, or use the one that is listed."""
        present = self._config.keys.sign
        public = open_signer(present, self._config.root, self._ask).public
        waiting = waiting_key(self._standing.member, public)
        if waiting is None:
            place = KeyPlace(self._to) if self._to else next_place(self._config, present)
            fresh = self._made(place)
            entry = with_signing_key(self._standing.member, fresh.public, self._now + after)
            path = self._signed(entry, [])
            note(f"next: the same command again, once it counts: in {after / HOUR:g} hours")
            return {"made": place.shown, "fingerprint": grouped(fresh.public.id), "signed": str(path)}
        if waiting.valid_from > self._now:
            minutes = (waiting.valid_from - self._now) // 60_000 + 1
            raise BadConfiguration(f"the next key counts in {minutes} minutes: wait until then", field="sign")
        place = self._place_of(waiting.id, present)
        path = self._signed(without_key(self._standing.member, public, self._now + DAY), [])
        point_to(self._config, "sign", str(place))
        note("next: start the node again; the key before counts for another day, for what is under way")
        return {"in_use": place.shown, "fingerprint": grouped(waiting.id), "signed": str(path)}

    def directory(self, ending: Ending) -> dict[str, str]:
        """Let a fresh key for the directory take the place of the one in use, as far as the member can."""
        present = self._config.keys.directory
        signer = self._signer()
        old = self._present_directory_key(signer.public)
        place = KeyPlace(self._to) if self._to else next_place(self._config, present)
        fresh = self._made(place)
        entry = with_directory_key(self._standing.member, fresh.public, old, ending, self._now)
        change = self._previewed(entry, [signer, fresh])
        expect_next(self._standing, entry)
        path = hand_over(self._standing, change, self._output)
        request = request_to_name(self._standing, change, [fresh])
        file = self._config.root / NAME_REQUEST
        write_whole(file, request)
        point_to(self._config, "directory", str(place))
        note("next: send the request to the secretariat, and read its fingerprint to it by telephone")
        note("      until two of it have signed, the key before signs: give it with --key")
        return {
            "made": place.shown,
            "signed": str(path),
            "request": str(file),
            "fingerprint": fingerprint(request),
        }

    def transport(self) -> dict[str, str]:
        """List the next key for connections, and ask the hub to certify it."""
        place = (
            Path(self._to)
            if self._to
            else next_place(self._config, KeyPlace(str(self._config.keys.tls))).file
        )
        fresh = PrivateKey.generate(Algorithm.ESP256)
        entry = with_transport_key(self._standing.member, key_digest(fresh.to_pem()), self._now)
        change = self._previewed(entry, [self._signer()])
        write_key(self._config.path(place), fresh.to_pem())
        request = request_to_certify(self._standing, change, fresh.to_pem(), [])
        file = self._config.root / CERTIFY_REQUEST
        write_whole(file, request)
        note("next: the hub's operator runs `halong hub take` with the request, and sends a welcome back;")
        note("      `halong member join WELCOME` switches to the next key, and the node is started again")
        return {"made": str(place), "request": str(file), "fingerprint": fingerprint(request)}

    def witness(self) -> dict[str, str]:
        """List the next witness key, and use it."""
        present = self._config.keys.witness
        named = KeyPlace("keys/witness.pem") if present is None else next_place(self._config, present)
        place = KeyPlace(self._to) if self._to else named
        fresh = self._made(place, Algorithm.ED25519)
        entry = with_witness_key(self._standing.member, fresh.public, self._now, self._now + DAY)
        path = self._signed(entry, [])
        point_to(self._config, "witness", str(place))
        note("next: start the node again")
        return {"in_use": place.shown, "fingerprint": grouped(fresh.public.id), "signed": str(path)}

    def _made(self, place: KeyPlace, algorithm: Algorithm | None = None) -> Signer:
        confirm(f"Make a key at {place.shown}?", yes=self._yes)
        if algorithm is None:
            algorithm = Algorithm.ED25519 if place.token is None else Algorithm.ESP256
        return make_signer(place, algorithm, self._config.root, self._ask)

    def _signer(self) -> Signer:
        if self._key is not None:
            return open_signer(KeyPlace(self._key), ask=self._ask)
        return open_signer(self._config.keys.directory, self._config.root, self._ask)

    def _present_directory_key(self, signer: PublicKey) -> PublicKey:
        """Return the key for the directory that is replaced: that of the settings, also if it is lost."""
        delegated = self._standing.version.delegations[self._standing.member.id].keys
        try:
            present = open_signer(self._config.keys.directory, self._config.root, self._ask).public
        except (NoSuchKey, KeyUnavailable, KeyLocked):
            others = [key for key in delegated if key != signer]
            if len(others) != 1:
                raise
            return others[0]
        if present not in delegated:
            raise BadConfiguration(
                "the key of the settings does not sign for this member: a rotation is under way",
                field="directory",
            )
        return present

    def _place_of(self, id_: bytes, present: KeyPlace) -> KeyPlace:
        """Return where the key lies that is listed already."""
        if self._to:
            return KeyPlace(self._to)
        for path in sorted(self._config.path(present.file).parent.glob("*.pem")):
            place = KeyPlace(str(path.relative_to(self._config.root)))
            if open_signer(place, self._config.root, self._ask).public.id == id_:
                return place
        raise BadConfiguration(
            "the key that is listed next is not here: say with --to where it is", field="--to"
        )

    def _signed(self, entry: Member, more: list[Signer]) -> Path:
        change = self._previewed(entry, [self._signer(), *more])
        return hand_over(self._standing, change, self._output)

    def _previewed(self, entry: Member, signers: list[Signer]) -> Change:
        change = self._standing.change(entry, self._now, signers)
        version = self._standing.version
        for line in (*describe(change, version), *say_needs(needs_of(change, version), {})):
            note(f"  {clean(line)}")
        confirm("Sign it?", yes=self._yes)
        return change
