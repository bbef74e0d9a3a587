"""The TUF project's own client, over files that came in one answer: a second judge, with a memory of its own.

Decides nothing by itself: it hands python-tuf what is there and says by our codes what it refused.  What the
client keeps between refreshes is its roll-back memory, so nothing is ever unpacked over it; a copy that was
set back is still told from a newer one.

Source: the TUF specification 1.0.31, section 5.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.serialization import DeserializationError
from tuf.ngclient import FetcherInterface, Updater

from broker.core.errors import (
    BadConfiguration,
    DirectoryExpired,
    DirectoryMalformed,
    DirectoryMixed,
    DirectoryRolledBack,
    DirectoryUnsigned,
    UnfitDirectory,
)
from broker.directory.roles import entry_path

BASE = "directory:/"


class _Served(FetcherInterface):
    """Answers the client from files that are here; what is not, is not found."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        data = self._files.get(url.removeprefix(BASE))
        if data is None:
            raise DownloadHTTPError("not among the files", 404)
        return iter((data,))


def check_with_client(
    memory: Path, files: Mapping[str, bytes], root: bytes, members: Collection[str], now: int
) -> None:
    """Let files pass that python-tuf's client takes as the next of what it remembers.

    Args:
        memory: The client's folder; what it took is remembered there.
        files: All files by name, the timestamp of now among them.
        root: The root that is trusted without asking.
        members: Whose roles are looked at.
        now: As of when; UTC ms.

    Raises:
        UnfitDirectory: The client refuses them.
        BadConfiguration: The folder cannot be used.
    """
    doing = "top"
    try:
        memory.mkdir(parents=True, exist_ok=True)
        client = Updater(str(memory), f"{BASE}metadata/", fetcher=_Served(files), bootstrap=root)
        # The client would ask the machine's clock; a node has one clock.
        client._trusted_set.reference_time = datetime.fromtimestamp(now / 1000, UTC)  # noqa: SLF001
        client.refresh()
        for member in members:
            doing = member
            try:
                client.get_targetinfo(entry_path(member))
            except ExpiredMetadataError:
                # All else of it held.  A member that has not signed for years stays what it was: that this
                # is the newest is vouched for by the timestamp.
                continue
    except (RepositoryError, DownloadError) as error:
        raise _of_ours(error, doing) from None
    except OSError as error:
        wrong = f"the client's memory cannot be used: {error.strerror or 'refused by the system'}"
        raise BadConfiguration(wrong, field="directory") from None


def _of_ours(error: RepositoryError | DownloadError, doing: str) -> UnfitDirectory:
    field = "client" if doing == "top" else doing
    match error:
        case UnsignedMetadataError():
            return DirectoryUnsigned("too few of a role's keys have signed it", field=field)
        case ExpiredMetadataError():
            return DirectoryExpired("the directory is no longer vouched for", field=field)
        case LengthOrHashMismatchError() | DownloadError():
            return DirectoryMixed("a file is missing, or is not the one that is named", field=field)
        case BadVersionNumberError():
            return DirectoryRolledBack("something is older than what was seen", field=field)
        case DeserializationError():
            return DirectoryMalformed("no metadata of TUF", field=field)
        case _ if doing == "top":
            return DirectoryRolledBack("something that was seen is gone from the snapshot", field=field)
        case _:
            return DirectoryMixed("a member's role is not in the snapshot", field=field)
