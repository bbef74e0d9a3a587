"""What the index holds: one table for each kind of record, laid out for the questions that are asked.

Decides the tables.  A row says what its record says; what is added from a record of another kind is only what
stands in the log before it, so that the index is the same however often reading was interrupted (`building`).
Of contents there are the facts alone, and the outcome of feedback, which is one of them: no other slot's
value ever comes here (`facts`).
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = 2
APPLICATION_ID: Final = 0x48414958

TABLES: Final = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # How far each partition was read: the next offset.
    (
        "CREATE TABLE place (topic TEXT NOT NULL, number INTEGER NOT NULL, next INTEGER NOT NULL,"
        " PRIMARY KEY (topic, number)) WITHOUT ROWID"
    ),
    # Records that could not be read, and slots that are not what was signed.
    (
        "CREATE TABLE finding (topic TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL,"
        " code TEXT NOT NULL, PRIMARY KEY (topic, number, at, code)) WITHOUT ROWID"
    ),
    # The log: its leaves, the complete subtrees above 256 of them, and the checkpoints.
    "CREATE TABLE leaf (n INTEGER PRIMARY KEY, entry BLOB NOT NULL, at INTEGER NOT NULL)",
    "CREATE INDEX leaf_entry ON leaf (entry)",
    (
        "CREATE TABLE subtree (height INTEGER NOT NULL, n INTEGER NOT NULL, hash BLOB NOT NULL,"
        " PRIMARY KEY (height, n)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, root BLOB NOT NULL, signed_at INTEGER NOT NULL,"
        " note BLOB NOT NULL)"
    ),
    # Statements, and when each was decided.
    (
        "CREATE TABLE statement (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, originator TEXT NOT NULL,"
        " region INTEGER NOT NULL, stream TEXT NOT NULL, sequence INTEGER NOT NULL, type TEXT NOT NULL,"
        " status INTEGER NOT NULL, act INTEGER NOT NULL, tlp INTEGER NOT NULL, issued_at INTEGER NOT NULL,"
        " outcome TEXT, decision BLOB, decided_at INTEGER, shares INTEGER)"
    ),
    "CREATE INDEX statement_number ON statement (originator, region, stream, sequence)",
    "CREATE INDEX statement_waiting ON statement (issued_at) WHERE decided_at IS NULL",
    (
        "CREATE TABLE refers (about BLOB NOT NULL, statement BLOB NOT NULL, PRIMARY KEY (about, statement))"
        " WITHOUT ROWID"
    ),
    "CREATE VIRTUAL TABLE facts USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')",
    # Streams, as decisions followed one another in them: numbers may be skipped, statements may not.
    (
        "CREATE TABLE stream (originator TEXT NOT NULL, region INTEGER NOT NULL, stream TEXT NOT NULL,"
        " sequence INTEGER NOT NULL,"
        " PRIMARY KEY (originator, region, stream)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE skipped (originator TEXT NOT NULL, region INTEGER NOT NULL, stream TEXT NOT NULL,"
        " sequence INTEGER NOT NULL, after INTEGER NOT NULL, broken INTEGER NOT NULL,"
        " PRIMARY KEY (originator, region, stream, sequence)) WITHOUT ROWID"
    ),
    # Deliveries, and what became of each.
    (
        "CREATE TABLE delivery (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, member TEXT NOT NULL,"
        " originator TEXT NOT NULL, region TEXT NOT NULL, sequence INTEGER NOT NULL, statement BLOB NOT NULL,"
        " slots INTEGER NOT NULL, grounds TEXT NOT NULL, live INTEGER NOT NULL, decided_at INTEGER NOT NULL,"
        " feedback_due INTEGER, taken_at INTEGER, acknowledged_at INTEGER, rejected_at INTEGER,"
        " answered_at INTEGER)"
    ),
    "CREATE INDEX delivery_statement ON delivery (statement, member)",
    (
        "CREATE INDEX delivery_waiting ON delivery (member, decided_at)"
        " WHERE acknowledged_at IS NULL AND rejected_at IS NULL"
    ),
    "CREATE INDEX delivery_member ON delivery (member)",
    "CREATE INDEX delivery_untaken ON delivery (member, decided_at) WHERE taken_at IS NULL",
    (
        "CREATE INDEX delivery_acknowledged ON delivery (member, acknowledged_at, decided_at)"
        " WHERE acknowledged_at IS NOT NULL"
    ),
    (
        "CREATE INDEX delivery_due ON delivery (feedback_due)"
        " WHERE feedback_due IS NOT NULL AND live AND answered_at IS NULL"
    ),
    (
        "CREATE TABLE ground (agreement TEXT NOT NULL, originator TEXT NOT NULL, decided_at INTEGER NOT NULL,"
        " delivery INTEGER NOT NULL, member TEXT NOT NULL, version INTEGER NOT NULL,"
        " PRIMARY KEY (agreement, originator, decided_at, delivery)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE lane (member TEXT NOT NULL, region TEXT NOT NULL, originator TEXT NOT NULL,"
        " deliveries INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (member, region, originator))"
        " WITHOUT ROWID"
    ),
    "CREATE INDEX delivery_lane ON delivery (member, originator, region, sequence)",
    "CREATE TABLE undelivered (statement BLOB PRIMARY KEY, decided INTEGER NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE receipt (delivery INTEGER NOT NULL, event INTEGER NOT NULL, at INTEGER NOT NULL,"
        " id BLOB NOT NULL, channel TEXT, code TEXT, PRIMARY KEY (delivery, event)) WITHOUT ROWID"
    ),
    # Who asked, and what it was told of.
    (
        "CREATE TABLE reading (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, reader TEXT NOT NULL,"
        " what INTEGER NOT NULL, reason TEXT, at INTEGER NOT NULL, count INTEGER NOT NULL)"
    ),
    "CREATE INDEX reading_at ON reading (at)",
    "CREATE INDEX reading_reader ON reading (reader, at)",
    (
        "CREATE TABLE told (id BLOB NOT NULL, reading INTEGER NOT NULL, PRIMARY KEY (id, reading))"
        " WITHOUT ROWID"
    ),
    (
        "CREATE TABLE refusal (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, station INTEGER NOT NULL,"
        " peer TEXT NOT NULL, statement BLOB, code TEXT NOT NULL, count INTEGER NOT NULL,"
        " at INTEGER NOT NULL)"
    ),
    "CREATE INDEX refusal_at ON refusal (at)",
    "CREATE INDEX refusal_code ON refusal (code, at)",
    "CREATE INDEX refusal_peer ON refusal (peer, at)",
    "CREATE INDEX refusal_statement ON refusal (statement) WHERE statement IS NOT NULL",
    (
        "CREATE TABLE erasure (id BLOB PRIMARY KEY, statement BLOB NOT NULL, ground INTEGER NOT NULL,"
        " at INTEGER NOT NULL) WITHOUT ROWID"
    ),
    "CREATE INDEX erasure_statement ON erasure (statement)",
    # What the hub said of each inbox: how many deliveries there were at which size of the tree.
    (
        "CREATE TABLE head (id BLOB PRIMARY KEY, member TEXT NOT NULL, size INTEGER NOT NULL,"
        " deliveries INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID"
    ),
    "CREATE INDEX head_member ON head (member, size)",
    # Feedback that was given by who got the statement.
    (
        "CREATE TABLE answer (about BLOB NOT NULL, by TEXT NOT NULL, decided_at INTEGER NOT NULL,"
        " statement BLOB NOT NULL, PRIMARY KEY (about, by, decided_at, statement)) WITHOUT ROWID"
    ),
    "CREATE INDEX answer_at ON answer (decided_at)",
    # Counts, so that the questions about a whole year do not count a year's records.
    (
        "CREATE TABLE tally (agreement TEXT NOT NULL, originator TEXT NOT NULL, member TEXT NOT NULL,"
        " day INTEGER NOT NULL, sent INTEGER NOT NULL, asked INTEGER NOT NULL, taken INTEGER NOT NULL,"
        " acknowledged INTEGER NOT NULL, rejected INTEGER NOT NULL,"
        " PRIMARY KEY (agreement, originator, member, day)) WITHOUT ROWID"
    ),
    # Feedback that is owed, by the day of the decision and the hour in which it is due.
    (
        "CREATE TABLE owed (grounds TEXT NOT NULL, originator TEXT NOT NULL, member TEXT NOT NULL,"
        " day INTEGER NOT NULL, hour INTEGER NOT NULL, count INTEGER NOT NULL,"
        " PRIMARY KEY (grounds, originator, member, day, hour)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE member (member TEXT PRIMARY KEY, published INTEGER NOT NULL,"
        " delivered INTEGER NOT NULL, taken INTEGER NOT NULL, acknowledged INTEGER NOT NULL,"
        " rejected INTEGER NOT NULL, last_published_at INTEGER NOT NULL, last_taken_at INTEGER NOT NULL,"
        " last_receipt_at INTEGER NOT NULL) WITHOUT ROWID"
    ),
)
