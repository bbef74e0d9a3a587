"""The tables of the node's store, as the steps by which a file came to have them.

A file has the format number of the last step that was made in it; opening a store makes the steps that are
still missing, all in one transaction.  A released step is never changed: what comes later is another one.
"""

from __future__ import annotations

FIRST = """
CREATE TABLE drafts (
    id INTEGER PRIMARY KEY,
    source TEXT UNIQUE,
    region INTEGER NOT NULL,
    draft BLOB NOT NULL,
    queued_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    code TEXT,
    field TEXT
) STRICT;
CREATE INDEX drafts_by_state ON drafts (state, region, id);

CREATE TABLE streams (
    region INTEGER NOT NULL,
    name TEXT NOT NULL,
    reserved INTEGER NOT NULL DEFAULT 0,
    current INTEGER NOT NULL,
    PRIMARY KEY (region, name)
) STRICT;

CREATE TABLE statements (
    id BLOB PRIMARY KEY,
    draft INTEGER NOT NULL REFERENCES drafts (id),
    region INTEGER NOT NULL,
    stream TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    previous BLOB,
    envelope BLOB NOT NULL,
    key BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'signed',
    code TEXT,
    decision BLOB,
    changed_at INTEGER NOT NULL,
    UNIQUE (region, stream, sequence)
) STRICT;
CREATE INDEX statements_by_state ON statements (state, region, sequence);
CREATE INDEX statements_by_draft ON statements (draft);

CREATE VIEW said AS
    SELECT id, draft, region, stream, sequence, previous, envelope, key, state, changed_at FROM statements;
CREATE VIEW live AS SELECT * FROM said WHERE state IN ('signed', 'accepted');
CREATE VIEW unproven AS SELECT * FROM said WHERE state IN ('accepted', 'admitted');
CREATE VIEW standing AS SELECT * FROM said WHERE state IN ('signed', 'accepted', 'admitted', 'proven');
CREATE VIEW settled AS SELECT * FROM said WHERE state IN ('admitted', 'proven');

CREATE TABLE facts (name TEXT PRIMARY KEY, value);

CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, root BLOB NOT NULL, note BLOB NOT NULL) STRICT;

CREATE TABLE lanes (lane TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT;

CREATE TABLE deliveries (
    id BLOB PRIMARY KEY,
    place INTEGER NOT NULL,
    lane TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    statement BLOB NOT NULL,
    reference TEXT,
    notice_type TEXT,
    state TEXT NOT NULL,
    code TEXT,
    record BLOB NOT NULL,
    leaf INTEGER NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    taken_at INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_by_place ON deliveries (place);
CREATE INDEX deliveries_by_size ON deliveries (size);

CREATE TABLE refs (statement BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT;

CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    signed BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    code TEXT
) STRICT;

CREATE TABLE receipts (
    id INTEGER PRIMARY KEY,
    delivery BLOB NOT NULL,
    event INTEGER NOT NULL,
    channel TEXT,
    code TEXT,
    batch INTEGER REFERENCES batches (id)
) STRICT;
CREATE INDEX receipts_unsigned ON receipts (id) WHERE batch IS NULL;

CREATE TABLE alarms (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    count INTEGER NOT NULL DEFAULT 1,
    event TEXT NOT NULL,
    code TEXT NOT NULL,
    subject TEXT NOT NULL,
    UNIQUE (event, code, subject)
) STRICT;
"""

SECOND = """
CREATE INDEX batches_waiting ON batches (id) WHERE state = 'waiting';
CREATE INDEX receipts_by_batch ON receipts (batch) WHERE batch IS NOT NULL;

CREATE TABLE queue (
    number INTEGER PRIMARY KEY,
    delivery BLOB NOT NULL REFERENCES deliveries (id),
    status INTEGER,
    channel TEXT
) STRICT;
INSERT INTO queue (delivery)
    SELECT id FROM deliveries WHERE state IN ('delivered', 'accepted') ORDER BY rowid;

CREATE TABLE channels (
    name TEXT PRIMARY KEY,
    statuses INTEGER NOT NULL,
    place INTEGER NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    since INTEGER,
    retry_at INTEGER,
    code TEXT,
    handed INTEGER NOT NULL DEFAULT 0,
    handed_at INTEGER
) STRICT;

CREATE VIEW offers AS
    SELECT c.name, q.number, q.delivery FROM channels c JOIN queue q
    ON q.number > c.place AND (q.channel IS NULL OR q.channel = c.name)
    AND (q.status IS NULL OR (c.statuses >> q.status) & 1);

CREATE TABLE letters (
    channel TEXT NOT NULL,
    delivery BLOB NOT NULL REFERENCES deliveries (id),
    number INTEGER NOT NULL,
    code TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (channel, delivery)
) STRICT;

CREATE TABLE shared (
    statement BLOB NOT NULL,
    receiver TEXT NOT NULL,
    originator TEXT NOT NULL,
    delivery BLOB NOT NULL,
    reference TEXT NOT NULL,
    notice_type TEXT NOT NULL,
    status INTEGER NOT NULL,
    agreements TEXT NOT NULL,
    given_at INTEGER NOT NULL,
    due_at INTEGER,
    answered_at INTEGER,
    outcome TEXT,
    reminded INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (statement, receiver)
) STRICT, WITHOUT ROWID;
CREATE INDEX shared_due ON shared (receiver, due_at) WHERE due_at IS NOT NULL AND answered_at IS NULL;
CREATE INDEX shared_unreminded ON shared (receiver, reminded, due_at)
    WHERE due_at IS NOT NULL AND answered_at IS NULL;
CREATE INDEX shared_by_reference ON shared (reference);
CREATE INDEX shared_by_delivery ON shared (delivery);
CREATE INDEX shared_by_time ON shared (given_at);

CREATE TABLE answers (
    number INTEGER PRIMARY KEY,
    statement BLOB NOT NULL,
    receiver TEXT NOT NULL,
    source TEXT NOT NULL,
    outcome TEXT,
    at INTEGER NOT NULL,
    UNIQUE (statement, receiver, source)
) STRICT;

CREATE TABLE watched (
    draft INTEGER PRIMARY KEY REFERENCES drafts (id),
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    asked_at INTEGER,
    delivered INTEGER NOT NULL DEFAULT 0,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX watched_open ON watched (until) WHERE settled = 0;

CREATE TABLE unread (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key ANY NOT NULL) STRICT;
CREATE TRIGGER unread_delivery AFTER INSERT ON deliveries
    BEGIN INSERT INTO unread (kind, key) VALUES ('delivery', NEW.id); END;
CREATE TRIGGER unread_statement AFTER UPDATE OF state ON statements
    WHEN NEW.state = 'proven' AND OLD.state != 'proven'
    BEGIN INSERT INTO unread (kind, key) VALUES ('statement', NEW.id); END;
CREATE TRIGGER unread_draft AFTER INSERT ON drafts
    WHEN json_extract(CAST(NEW.draft AS TEXT), '$.type') = 'feedback'
    BEGIN INSERT INTO unread (kind, key) VALUES ('draft', NEW.id); END;
CREATE TRIGGER unread_refused AFTER UPDATE OF state ON drafts
    WHEN (NEW.state = 'refused') != (OLD.state = 'refused')
    AND json_extract(CAST(NEW.draft AS TEXT), '$.type') = 'feedback'
    BEGIN INSERT INTO unread (kind, key) VALUES ('draft', NEW.id); END;
INSERT INTO unread (kind, key) SELECT 'statement', id FROM statements WHERE state = 'proven' ORDER BY rowid;
INSERT INTO unread (kind, key) SELECT 'delivery', id FROM deliveries ORDER BY rowid;
INSERT INTO unread (kind, key) SELECT 'draft', id FROM drafts
    WHERE json_extract(CAST(draft AS TEXT), '$.type') = 'feedback' ORDER BY id;
"""
"""What goes to which channel: see `channels.places`.

Which notices somebody watches, and how many receivers have them: see `sending.progress`.

What was shared with whom, what came of it, and what of that is still to be read: see `feedback.view`.
"""

THIRD = """
DROP INDEX shared_by_delivery;
"""
"""Digests of what others got: an index on them cost more than all other tables; see `feedback.view.find`."""

FOURTH = """
CREATE TABLE witnessed (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note BLOB NOT NULL
) STRICT;

CREATE TABLE contradictions (
    id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    at INTEGER NOT NULL,
    kept BLOB NOT NULL,
    shown BLOB NOT NULL,
    UNIQUE (kept, shown)
) STRICT;
"""
"""The largest tree of a log that this node's witness cosigned, and what contradicts it: see `witness`."""

STEPS: tuple[str, ...] = (FIRST, SECOND, THIRD, FOURTH)

FORMAT = len(STEPS)
"""Counts the steps; a file with a higher number was written by a later version."""

TEXTS = frozenset({"held", "held_code", "held_field", "stick_conversation", "directory_version"})
"""Facts that are text; secrets, notes and positions of streams are bytes, all others are numbers."""

BYTES = frozenset({"salt_key", "cosigned_note", "head_chain"})


def kind_of_fact(name: str) -> type:
    """Return what `facts.value` is under a name."""
    if name in TEXTS:
        return str
    return bytes if name in BYTES or name.startswith("stick/stream/") else int
