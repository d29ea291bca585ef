"""Every table of the embedded store, each with its retention class, and the schema's version.

A change here is a new VERSION and a step in `migrations`; a store file of each version is kept in
tests/vectors/stores. Times are wallclock seconds (UTC). Text that is no valid UTF-8 (SIP carries any bytes) is
kept as a BLOB of exactly those bytes, which SQLite's text columns allow.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, String, Table, text

from pbx.retention import RetentionClass

VERSION: Final = 10

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
    info={"retention": RetentionClass.INTERNAL},
)

tenants = Table(
    "tenants",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("settings", String, nullable=False),  # JSON: everything of a tenant that is no table of its own
    info={"retention": RetentionClass.CONFIGURATION},
)

extensions = Table(
    "extensions",
    metadata,
    Column("tenant", String, nullable=False),
    Column("number", String, nullable=False),
    Column("settings", String, nullable=False),  # JSON, without secrets
    Column("secrets", LargeBinary, nullable=False),  # JSON of HA1 by algorithm, sealed
    PrimaryKeyConstraint("tenant", "number"),
    info={"retention": RetentionClass.CONFIGURATION},
    sqlite_with_rowid=False,
)

# What was set while the PBX ran: forwards, do-not-disturb, hours turned over by hand, what limits have seen.
tenant_state = Table(
    "tenant_state",
    metadata,
    Column("tenant", String, nullable=False),
    Column("owner", String, nullable=False),  # "1001", "times/office", "tenant"
    Column("key", String, nullable=False),
    Column("value", String, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "key"),
    info={"retention": RetentionClass.CONFIGURATION},
    sqlite_with_rowid=False,
)

# Messages and greetings of mailboxes; what was said is in a sealed file of the same id.
voicemail_messages = Table(
    "voicemail_messages",
    metadata,
    Column("tenant", String, nullable=False),
    Column("id", String, nullable=False),
    Column("mailbox", String, nullable=False),
    Column("caller", String, nullable=False),
    Column("name", String, nullable=False),
    Column("received", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("folder", String, nullable=False),  # "new", "old", "greeting"
    Column("state", String, nullable=False),  # "recording": its file may have been cut short; "kept"
    PrimaryKeyConstraint("tenant", "id"),
    info={"retention": RetentionClass.MESSAGE},
    sqlite_with_rowid=False,
)

# Text messages (RFC 3428) to who is away; what they say is sealed.
waiting_messages = Table(
    "waiting_messages",
    metadata,
    Column("tenant", String, nullable=False),
    Column("id", String, nullable=False),
    Column("recipient", String, nullable=False),
    Column("sender", String, nullable=False),
    Column("received", Float, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("state", String, nullable=False),  # "waiting"; "sending": a phone may have it
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    info={"retention": RetentionClass.TEXT},
    sqlite_with_rowid=False,
)

# Messages of mailboxes on their way out as e-mail; `id` is the message's.
outbox = Table(
    "outbox",
    metadata,
    Column("tenant", String, nullable=False),
    Column("id", String, nullable=False),
    Column("mailbox", String, nullable=False),
    Column("queued", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try", Float, nullable=False),
    Column("problem", String, nullable=False),  # of the last try
    PrimaryKeyConstraint("tenant", "id"),
    info={"retention": RetentionClass.MESSAGE},
    sqlite_with_rowid=False,
)

# What was said is in a sealed file of the same id, its key apart from it.
recordings = Table(
    "recordings",
    metadata,
    Column("tenant", String, nullable=False),
    Column("id", String, nullable=False),
    Column("linked_id", String, nullable=False),
    Column("leg", String, nullable=False),
    Column("owner", String, nullable=False),  # the extension whose side was recorded, "" for a trunk's or a caller's
    Column("rule", String, nullable=False),  # the rule's name, "extension" or "on demand"
    Column("caller", String, nullable=False),
    Column("callee", String, nullable=False),
    Column("started", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("state", String, nullable=False),  # "recording", "kept", "partial", "failed"
    PrimaryKeyConstraint("tenant", "id"),
    info={"retention": RetentionClass.RECORDING},
    sqlite_with_rowid=False,
)
Index("recordings_started", recordings.c.tenant, recordings.c.started, recordings.c.id)

# Who heard, took out or destroyed what, who listened to whom, who let recording begin.
audit = Table(
    "audit",
    metadata,
    Column("tenant", String, nullable=False),
    Column("id", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("object", String, nullable=False),
    Column("allowed", Integer, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    info={"retention": RetentionClass.AUDIT},
    sqlite_with_rowid=False,
)
Index("audit_at", audit.c.tenant, audit.c.at, audit.c.id)

bindings = Table(
    "bindings",
    metadata,
    Column("tenant", String, nullable=False),
    Column("aor", String, nullable=False),
    Column("key", String, nullable=False),  # what tells contacts of one AOR apart: RFC 3261 §10.3, RFC 5626 §6
    Column("contact", String, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("fields", String, nullable=False),  # JSON: the rest of the binding, which only the registrar reads
    PrimaryKeyConstraint("tenant", "aor", "key"),
    info={"retention": RetentionClass.BINDING},
    sqlite_with_rowid=False,
)

# Who watches what (RFC 6665): the dialog, so that lamps go on after a restart.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("tenant", String, nullable=False),
    Column("id", String, nullable=False),  # our tag in the dialog
    Column("expires_at", Float, nullable=False),
    Column("fields", String, nullable=False),  # JSON: the rest, which only `voipat` reads
    PrimaryKeyConstraint("tenant", "id"),
    info={"retention": RetentionClass.BINDING},
    sqlite_with_rowid=False,
)

# One row per leg, written at the start and at the answer and completed at the end: an open row (ended is NULL)
# is the journal of a call under way.
cdrs = Table(
    "cdrs",
    metadata,
    Column("id", String, primary_key=True),
    Column("linked_id", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("leg", String, nullable=False),  # "a": the call came in on it; "b": an attempt to reach somebody
    Column("direction", String, nullable=False),
    Column("caller", String, nullable=False),
    Column("callee", String, nullable=False),
    Column("started", Float, nullable=False),
    Column("answered", Float),
    Column("ended", Float),
    Column("duration_s", Float),  # by the monotonic clock: right even when the wallclock was set in between
    Column("billable_s", Float),
    Column("disposition", String),
    Column("hangup_by", String),
    Column("cause_sip", Integer),
    Column("cause_q850", Integer),
    Column("cause_id", String),
    Column("recording", String),
    Column("mos", Float),
    Column("call_id", String, nullable=False),
    Column("codec", String),
    Column("packets", Integer),
    Column("loss", Float),
    Column("jitter", Float),
    Column("loss_out", Float),
    Column("jitter_out", Float),
    Column("mos_out", Float),
    Column("rtt", Float),
    Column("crypto", String),
    Column("route", String),  # the targets of the plan that the call went through
    Column("beside", String),  # video, text and fax that were relayed, with packets from and to the peer
    info={"retention": RetentionClass.CDR},
)

# What a leg is from its start on: an update leaves these alone, and with them the indexes that hold them.
for _fixed in ("tenant", "leg", "direction", "caller", "callee", "started", "call_id"):
    cdrs.c[_fixed].info["fixed"] = True

Index("cdrs_started", cdrs.c.tenant, cdrs.c.started, cdrs.c.id)
Index("cdrs_caller", cdrs.c.tenant, cdrs.c.caller, cdrs.c.started)
Index("cdrs_callee", cdrs.c.tenant, cdrs.c.callee, cdrs.c.started)
Index("cdrs_linked", cdrs.c.linked_id)
# Answered calls are the many, and a walk down cdrs_started finds them at once; the few others need this one.
Index("cdrs_disposition", cdrs.c.tenant, cdrs.c.disposition, cdrs.c.started)
Index("cdrs_open", cdrs.c.id, sqlite_where=text("ended IS NULL"))
