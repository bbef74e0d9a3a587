"""The folder of a member's node: its settings, and how commands look into it.

How it is made and joins is `joining`'s.  The commands that people type are `member`, `publish`, `feed`,
`doctor`; the demo and tests use the same functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.configuration import MEMBER_FILE, NodeConfig, load_node_config
from adapters.receiving.incoming import Incoming
from adapters.sending.outgoing import Outgoing
from adapters.store import Store
from broker.core.directory import MemberClass
from broker.core.model import Region
from broker.files import write_whole
from broker.keyring import KeyPlace

REQUEST_FILE = "join-request.json"

MEMBER_TOML = """\
# The node of member {member} in the network {network}.  Paths are relative to this file.
# `halong doctor` checks it; `halong member join` writes the [hub] part and the directory.

member = "{member}"
network = "{network}"
region = "{region}"              # what notices lead in that name no region
directory = "directory"          # this node's own copy: what it does not allow is refused, whoever sends it
store = "node.db"                # what is queued, signed and received; back it up with the keys

[keys]                           # made here; nobody else ever needs them
sign = "{sign}"           # signs notices and receipts; a file, or pkcs11:… for a key on a token
directory = "{directory_key}" # signs what this member says of itself, and what it accedes to
{witness_part}tls = "keys/tls.pem"             # opens the connection to the hub
certificate = "tls/member.pem"

[health]                         # /health, /ready and /metrics, on the loopback address only
port = {health_port}

{api_part}
# Ways into your own systems: a folder here; also webhook, mail, sql, kafka, exec: see docs/channels.md.
[channels.folder]                # each delivery as files: JSON, the signed bytes, a page in two languages
kind = "folder"
path = "inbox"
statuses = ["ACTUAL"]            # add "EXERCISE" to take part in exercises
language = "en"                  # what the pages show first; or "vi"
"""

API_PART = """\
[api]                            # for this member's own systems, on the loopback address only: docs/api.md
port = {port}                      # they show the token that is in the file api.token
"""
NO_API_PART = """\
# [api]                          # for this member's own systems: docs/api.md; or init with --api
# port = 8446
"""

WITNESS_PART = """\
witness = "{witness}"     # cosigns the hub's log, so that all members see the same one: docs/log.md
"""

HUB_PART = """
[hub]                            # from the hub's welcome; a hub with another key is refused
url = "{url}"
pin = "{pin}"
log_key = "{log_key}"
authority = "tls/authority.pem"
"""
_HUB_PART = re.compile(r"\n*^\[hub\].*\n(?:(?!\[).*\n?)*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MemberPlan:
    """What `halong member join` was told."""

    id: str
    name: str
    member_class: MemberClass
    regions: Sequence[Region]
    network: str
    health_port: int
    api_port: int | None = None


def write_member_config(
    folder: Path,
    plan: MemberPlan,
    sign: KeyPlace = KeyPlace("keys/sign.pem"),  # noqa: B008 - a text
    directory: KeyPlace = KeyPlace("keys/directory.pem"),  # noqa: B008 - a text
    witness: KeyPlace | None = None,
) -> None:
    """Write `member.toml`."""
    text = MEMBER_TOML.format(
        member=plan.id,
        network=plan.network,
        region=plan.regions[0].slug,
        sign=sign,
        directory_key=directory,
        witness_part="" if witness is None else WITNESS_PART.format(witness=witness),
        health_port=plan.health_port,
        api_part=NO_API_PART if plan.api_port is None else API_PART.format(port=plan.api_port),
    )
    write_whole(folder / MEMBER_FILE, text)


def write_hub_part(folder: Path, url: str, pin: str, log_key: str) -> None:
    """Write the settings of the hub at the end of the file, in place of the last ones."""
    path = folder / MEMBER_FILE
    kept = _HUB_PART.sub("\n", path.read_text(encoding="utf-8")).rstrip("\n")
    part = HUB_PART.format(url=url, pin=pin, log_key=log_key)
    write_whole(path, f"{kept}\n{part}")


# --- looking into a folder ------------------------------------------------------------------------------


class NodeFolder:
    """A node's folder as other processes of the machine use it."""

    def __init__(self, config: NodeConfig, store: Store) -> None:
        self.config = config
        self.store = store
        self.outgoing = Outgoing(store)
        self.incoming = Incoming(store)

    def statement_of(self, reference: str) -> str | None:
        """Return the statement id (hex) of a reference or an id that is known at this node, or None."""
        reference = reference.removeprefix("halong:")
        row = self.store.row(
            "SELECT statement FROM deliveries WHERE reference IN (?, ?)", reference, f"halong:{reference}"
        )
        if row is None:
            originator, _, rest = reference.partition("/")
            region, _, numbered = rest.partition("/")
            stream, _, sequence = numbered.partition("/")
            if originator != self.config.member or not sequence.isdecimal() or len(sequence) > 18:
                return None
            try:
                number = Region[region.upper().replace("-", "_")]
            except KeyError:
                return None
            row = self.store.row(
                "SELECT id FROM statements WHERE region = ? AND stream = ? AND sequence = ?",
                int(number), stream, int(sequence),
            )  # fmt: skip
        return None if row is None else row[0].hex()


@contextmanager
def open_folder(folder: Path, *, to_read: bool = False) -> Iterator[NodeFolder]:
    """Open a node's folder beside the node, which may run or not; `to_read` also where nothing is written.

    Raises:
        BadConfiguration: There is no node here.
        StoreUnavailable: Its store cannot be used now.
    """
    config = load_node_config(folder)
    with (Store.open_to_read if to_read else Store.open)(config.store_path) as store:
        yield NodeFolder(config, store)
