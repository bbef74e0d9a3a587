"""A whole network on one machine: hub, secretariat and members, each in a folder, made as commands make them.

::

    network = Network(folder)
    network.make(hub_plan, now)
    network.admit(member_plans, now)
    network.accede({"jp": [text], "vn": [text]}, now)
    network.welcome(["jp", "vn"])

Decides nothing that people would not decide: five holders sign the root, two of the secretariat let members
in, members sign what they accede to with their own keys, and the hub puts it into force.  All private keys
are at hand, as they would be nowhere else.  What is there already is used again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.configuration import MEMBER_FILE, load_node_config
from adapters.directory.own import intend
from adapters.joining import Places, check_welcome, install, invited, make_invited
from adapters.member_folder import REQUEST_FILE, MemberPlan
from broker.clock import SystemClock
from broker.commands import hub_folder, hub_take
from broker.commands.hub_folder import CARD_FILE, HubPlan
from broker.commands.secretariat import (
    SECRETARIAT_FILE,
    Holder,
    approve,
    invite,
    load_secretariat,
    make_secretariat,
    newest_of,
    signed,
)
from broker.configuration import HUB_FILE, load_hub_config
from broker.core.directory import Directory, Member
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm
from broker.directory.admission import read_join_request, written
from broker.directory.building import member_change
from broker.directory.change import Change
from broker.directory.handing import read_hub_card
from broker.directory.repository import Repository
from broker.directory.signed import SignedDirectory
from broker.directory.sources import trusted_root
from broker.directory.versions import Newest
from broker.files import make_private_folder
from broker.keyring import KeyPlace, make_signer, open_signer

ROOTS, SECRETARIES = 5, 3
MUST_SIGN = (3, 2)


@dataclass(frozen=True, slots=True)
class Network:
    """The folders of a network.

    Args:
        folder: Where they are: `hub`, `secretariat`, and one for each member, by its id.
    """

    folder: Path

    @property
    def hub(self) -> Path:
        """The hub's folder."""
        return self.folder / "hub"

    @property
    def secretariat(self) -> Path:
        """The secretariat's folder, with the keys of root and secretariat in `keys`."""
        return self.folder / "secretariat"

    def member(self, member: str) -> Path:
        """Return a member's folder."""
        return self.folder / member

    def directory(self) -> Directory:
        """Return the directory in force."""
        return self.newest().version.directory

    def newest(self) -> Newest:
        """Return the version in force, with all that is known of it."""
        return newest_of(load_secretariat(self.secretariat))

    def source(self) -> SignedDirectory:
        """Return the directory as the hub reads it."""
        config = load_hub_config(self.hub)
        path = config.path(config.directory)
        return SignedDirectory(path, trusted_root(path), SystemClock())

    def make(self, plan: HubPlan, at: int) -> None:
        """Make hub and secretariat; a hub that is there listens as the plan says from now on.

        Raises:
            BadConfiguration: What is there is of another network.
        """
        if not (self.hub / HUB_FILE).exists():
            hub_folder.make_hub(self.hub, plan, at)
        elif load_hub_config(self.hub).network != plan.network:
            raise BadConfiguration("this is the hub of another network", field=str(self.hub / HUB_FILE))
        else:
            hub_folder.write_hub_config(self.hub, plan)
        if (self.secretariat / SECRETARIAT_FILE).exists():
            return
        keys = self.secretariat / "keys"
        make_private_folder(keys)
        holders = [_holder(keys, f"root-{number}") for number in range(1, ROOTS + 1)]
        secretaries = [_holder(keys, f"secretariat-{number}") for number in range(1, SECRETARIES + 1)]
        card = read_hub_card((self.hub / CARD_FILE).read_bytes())
        config = load_hub_config(self.hub)
        first = make_secretariat(
            self.secretariat, card, holders, secretaries, at,
            thresholds=MUST_SIGN, hub=config.path(config.directory),
        )  # fmt: skip
        hub_take.take(self.hub, first, [], at)

    def admit(self, plans: Iterable[MemberPlan], at: int) -> None:
        """Let members join that are none yet: all of them in one version of the directory."""
        secretariat, newest = load_secretariat(self.secretariat), self.newest()
        applicants = []
        for plan in plans:
            if plan.id in newest.version.listings:
                continue
            folder = self.member(plan.id)
            if not (folder / MEMBER_FILE).exists():
                regions = [region.slug for region in plan.regions]
                invitation = invite(secretariat, plan.id, plan.name, plan.member_class.value, regions)
                make_invited(folder, invited(written(invitation)), plan, at, Places())
            request = (folder / REQUEST_FILE).read_bytes()
            listed = newest.version.directory.known
            applicants.append(read_join_request(request, secretariat.network, listed))
        if applicants:
            change = signed(approve(newest, applicants, at), self.secretaries())
            hub_take.take(self.hub, [change], applicants, at)

    def secretaries(self) -> Sequence[Holder]:
        """Return as many of the secretariat as must sign, with their keys."""
        keys = self.secretariat / "keys"
        return [_holder(keys, f"secretariat-{number}") for number in range(1, MUST_SIGN[1] + 1)]

    def accede(self, texts: Mapping[str, Collection[bytes]], at: int) -> None:
        """Let members accede to agreements, each with its own key, all in one version of the directory."""
        self._change({member: (each, ()) for member, each in texts.items()}, at)

    def leave(self, member: str, agreement: str, version: int, at: int) -> None:
        """Let a member leave an agreement."""
        self._change({member: ((), [(agreement, version)])}, at)

    def change(self, entry: Member, at: int) -> None:
        """Let a member say something else of itself."""
        change = member_change(self.newest().version, entry, at)
        hub_take.take(self.hub, [self._signed_by(entry.id, change)], [], at)

    def _change(
        self, wanted: Mapping[str, tuple[Collection[bytes], Collection[tuple[str, int]]]], at: int
    ) -> None:
        newest, changes = self.newest(), []
        for member, (accede, leave) in wanted.items():
            listing = newest.version.listings[member]
            change = member_change(newest.version, listing.member, at, accede=accede, leave=leave)
            changes.append(self._signed_by(member, change))
        hub_take.take(self.hub, changes, [], at)

    def _signed_by(self, member: str, change: Change) -> Change:
        config = load_node_config(self.member(member))
        change = change.sign(open_signer(config.keys.directory, config.root))
        # A node that finds in the directory what it has not signed itself raises an alarm.
        intend(config.path(config.directory), change)
        return change

    def welcome(self, members: Iterable[str]) -> None:
        """Let members take the hub's welcome of today: its address, and the directory in force."""
        clock, config = SystemClock(), load_hub_config(self.hub)
        # Nobody believes what the hub has not vouched for since yesterday.
        repository = Repository(config.path(config.directory))
        newest = repository.renew(open_signer(config.keys.online, config.root), clock.now())
        for member in members:
            node = load_node_config(self.member(member))
            found = check_welcome(node, written(hub_take.make_welcome(self.hub, member, newest)))
            install(node, *found, clock)


def _holder(keys: Path, name: str) -> Holder:
    """Return who holds the key of this name; it is made where there is none."""
    place = KeyPlace(f"{name}.pem")
    there = (keys / place.file).exists()
    signer = open_signer(place, keys) if there else make_signer(place, Algorithm.ED25519, keys)
    return Holder(name, signer.public, signer)
