"""Members, keys and agreements: where the trusted value comes from.

Services and nodes take a `Source`; `signed` is the one over a folder of signed files (TUF), which `sources`
opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from broker.core.directory import Directory


class Source(Protocol):
    """Where directories come from, the newest and all past ones.  Calls may block."""

    def load(self) -> Directory:
        """Look again, and return the newest version, which `at` will find from then on.

        The very value that was returned last is returned again if nothing has changed.

        Raises:
            BadConfiguration: It cannot be used as it is; the version before stays as it was.
        """
        ...

    def at(self, version: bytes) -> Directory | None:
        """Return a past version, or None if it was never held.

        Raises:
            BadConfiguration: It was held, and what is left of it is damaged.
        """
        ...

    def files(self) -> Mapping[str, bytes]:
        """Return the files of the version that was loaded last, by name, with what vouches for it."""
        ...
