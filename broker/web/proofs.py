"""The path of the log's proofs: docs/protocol.md, docs/evidence.md.

Nothing but HTTP: whoever may read the log's tiles may ask for the proof of any leaf, by its index, or by the
id of a statement.  It leads to the published checkpoint, and says nothing of what the leaf stands for.

Sources: c2sp.org/tlog-proof v1; RFC 9942.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from broker.core.cose_receipt import inclusion_receipt
from broker.core.errors import BadProof, NotCanonical
from broker.core.note import LogKey
from broker.core.tlog_proof import TlogProof, write_proof
from broker.services.ledger import Ledger

COSE = 'application/cose; cose-type="cose-sign1"'
TEXT = "text/plain; charset=utf-8"
FORMS = ("tlog-proof", "cose")

_INDEX = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


class ProofPaths:
    """Answers with proofs.

    Args:
        vkey: Returns the log's key as text.
        shown: Returns a checkpoint's note with whatever else is known of it.
        ledger: Returns the published log, as far as whoever asks has seen it.
    """

    def __init__(
        self,
        vkey: Callable[[], str],
        shown: Callable[[bytes], bytes],
        ledger: Callable[[web.Request], Awaitable[Ledger]],
    ) -> None:
        self._vkey = vkey
        self._shown = shown
        self._ledger = ledger

    def add_to(self, app: web.Application) -> None:
        """Add the path."""
        app.router.add_get("/log/proof/{leaf}", self._proof)

    async def _proof(self, request: web.Request) -> web.Response:
        form = request.query.get("form", FORMS[0])
        if form not in FORMS:
            raise NotCanonical(f"a form is one of {', '.join(FORMS)}", field="form")
        ledger = await self._ledger(request)
        checkpoint = ledger.published
        index = _index(request.match_info["leaf"], ledger)
        found = None if checkpoint is None else ledger.inclusion(index, checkpoint.size)
        if checkpoint is None or found is None:
            raise web.HTTPNotFound
        if form == "cose":
            try:
                data = inclusion_receipt(LogKey.parse(self._vkey()), checkpoint.note, index, found.path)
            except BadProof:
                # Signed by an earlier version, which signed no roots for receipts: the next one is.
                raise web.HTTPNotFound from None
            return web.Response(body=data, headers={"Content-Type": COSE})
        text = write_proof(TlogProof(index, tuple(found.path), self._shown(checkpoint.note)))
        return web.Response(body=text, headers={"Content-Type": TEXT})


def _index(named: str, ledger: Ledger) -> int:
    if _INDEX.fullmatch(named):
        return int(named)
    if _ID.fullmatch(named):
        return ledger.statements.leaf(bytes.fromhex(named))
    raise NotCanonical("a leaf is named by its index, or by a statement's id", field="leaf")
