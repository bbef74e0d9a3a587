"""The desk: where commands make drafts of files and rows, and ask who would get them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from adapters.member_folder import NodeFolder
from adapters.node import directory_source, leading_region
from adapters.preview import Preview, look_ahead
from adapters.sending.draft import Draft
from broker.clock import SystemClock
from broker.core.catalogue import Catalogue
from broker.core.errors import AddresseeUnreached, BadConfiguration, NotCanonical, Refused
from broker.core.index import Index
from broker.core.model import Region
from broker.core.wire import read
from broker.files import read_sent
from broker.terminal import Stopped, from_error
from schemas import load_catalogue

MOST_NOTICE_BYTES = 4 * 1024 * 1024
MOST_MAP_BYTES = 256 * 1024


class Desk:
    """Where drafts are made and checked.

    Args:
        node: The node's folder.
        now: As of when; now if not given.
    """

    def __init__(self, node: NodeFolder, now: int | None = None) -> None:
        self.node = node
        self.member = node.config.member
        self.now = SystemClock().now() if now is None else now
        self.catalogue: Catalogue = load_catalogue()
        self.region: Region = leading_region(node.config)

    @cached_property
    def index(self) -> Index:
        """The directory of this node."""
        return Index(directory_source(self.node.config).load())

    def draft(self, obj: object, source: str | None = None) -> Draft:
        """Return the draft that a JSON object describes."""
        return Draft.from_json(
            obj, self.catalogue, member=self.member, region=self.region, at=self.now, source=source
        )

    def look_ahead(self, draft: Draft) -> Preview:
        """Return who would get it, as far as this node's directory tells."""
        return look_ahead(draft, self.member, self.catalogue, self.index, self.node.incoming, self.now)

    def read(self, path: Path) -> Draft:
        """Return the draft in a JSON file, or say where it is wrong."""
        try:
            obj = read(read_sent(path, MOST_NOTICE_BYTES), object)
        except NotCanonical as error:
            raise BadConfiguration(f"not readable as JSON: {error}", field=str(path)) from None
        try:
            return self.draft(obj)
        except Refused as error:
            raise _at(path, error) from None

    def preview(self, path: Path, draft: Draft) -> Preview:
        """Return who would get the draft of a file, or say why nobody may."""
        try:
            return self.look_ahead(draft)
        except AddresseeUnreached as error:
            raise from_error(
                error,
                where=f"{path}: addressees",
                next_step='name others, or add "partial": true to send it anyhow',
            ) from None
        except Refused as error:
            raise _at(path, error) from None


def _at(path: Path, error: Refused) -> Stopped:
    return from_error(error, where=str(path) if error.field is None else f"{path}: {error.field}")
