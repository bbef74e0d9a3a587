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

STEPS: tuple[str, ...] = (FIRST,)

FORMAT = len(STEPS)
"""Counts the steps; a file with a higher number was written by a later version."""
