"""Steps from each schema version to the next; a store made by any earlier voipat opens in this one.

A step is frozen when it lands: it is SQL of its day, never the tables of `schema`, which go on changing. The
test beside tests/vectors/stores opens a file of every version and compares the outcome with a fresh schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection

from pbx.store import schema

Step = Callable[[Connection], None]


def _quality_columns(connection: Connection) -> None:
    """2: what the peer reports of what it got, for each leg."""
    for name in ("loss_out", "jitter_out", "mos_out", "rtt"):
        connection.exec_driver_sql(f"ALTER TABLE cdrs ADD COLUMN {name} FLOAT")


def _tenant_state(connection: Connection) -> None:
    """3: what was set while the PBX ran."""
    connection.exec_driver_sql(
        "CREATE TABLE tenant_state (tenant VARCHAR NOT NULL, owner VARCHAR NOT NULL, key VARCHAR NOT NULL, "
        "value VARCHAR NOT NULL, PRIMARY KEY (tenant, owner, key)) WITHOUT ROWID"
    )


def _voicemail_messages(connection: Connection) -> None:
    """4: messages and greetings of mailboxes."""
    connection.exec_driver_sql(
        "CREATE TABLE voicemail_messages (tenant VARCHAR NOT NULL, id VARCHAR NOT NULL, mailbox VARCHAR NOT NULL, "
        "caller VARCHAR NOT NULL, name VARCHAR NOT NULL, received FLOAT NOT NULL, seconds FLOAT NOT NULL, "
        "folder VARCHAR NOT NULL, state VARCHAR NOT NULL, PRIMARY KEY (tenant, id)) WITHOUT ROWID"
    )


def _crypto_column(connection: Connection) -> None:
    """5: how the media of each leg was encrypted."""
    connection.exec_driver_sql("ALTER TABLE cdrs ADD COLUMN crypto VARCHAR")


def _outbox(connection: Connection) -> None:
    """6: messages on their way out as e-mail."""
    connection.exec_driver_sql(
        "CREATE TABLE outbox (tenant VARCHAR NOT NULL, id VARCHAR NOT NULL, mailbox VARCHAR NOT NULL, "
        "queued FLOAT NOT NULL, tries INTEGER NOT NULL, next_try FLOAT NOT NULL, problem VARCHAR NOT NULL, "
        "PRIMARY KEY (tenant, id)) WITHOUT ROWID"
    )


def _recordings(connection: Connection) -> None:
    """7: recordings, who did what with them, and the route that a call took."""
    connection.exec_driver_sql(
        "CREATE TABLE recordings (tenant VARCHAR NOT NULL, id VARCHAR NOT NULL, linked_id VARCHAR NOT NULL, "
        "leg VARCHAR NOT NULL, owner VARCHAR NOT NULL, rule VARCHAR NOT NULL, caller VARCHAR NOT NULL, "
        "callee VARCHAR NOT NULL, started FLOAT NOT NULL, seconds FLOAT NOT NULL, state VARCHAR NOT NULL, "
        "PRIMARY KEY (tenant, id)) WITHOUT ROWID"
    )
    connection.exec_driver_sql("CREATE INDEX recordings_started ON recordings (tenant, started, id)")
    connection.exec_driver_sql(
        "CREATE TABLE audit (tenant VARCHAR NOT NULL, id VARCHAR NOT NULL, at FLOAT NOT NULL, actor VARCHAR NOT NULL, "
        "action VARCHAR NOT NULL, object VARCHAR NOT NULL, allowed INTEGER NOT NULL, "
        "PRIMARY KEY (tenant, id)) WITHOUT ROWID"
    )
    connection.exec_driver_sql("CREATE INDEX audit_at ON audit (tenant, at, id)")
    connection.exec_driver_sql("ALTER TABLE cdrs ADD COLUMN route VARCHAR")


def _beside_column(connection: Connection) -> None:
    """8: what was relayed beside the audio of each leg."""
    connection.exec_driver_sql("ALTER TABLE cdrs ADD COLUMN beside VARCHAR")


def _waiting_messages(connection: Connection) -> None:
    """9: text messages to who is away."""
    connection.exec_driver_sql(
        "CREATE TABLE waiting_messages (tenant VARCHAR NOT NULL, id VARCHAR NOT NULL, recipient VARCHAR NOT NULL, "
        "sender VARCHAR NOT NULL, received FLOAT NOT NULL, bytes INTEGER NOT NULL, state VARCHAR NOT NULL, "
        "sealed BLOB NOT NULL, PRIMARY KEY (tenant, id)) WITHOUT ROWID"
    )


def _subscriptions(connection: Connection) -> None:
    """10: who watches what."""
    connection.exec_driver_sql(
        "CREATE TABLE subscriptions (tenant VARCHAR NOT NULL, id VARCHAR NOT NULL, expires_at FLOAT NOT NULL, "
        "fields VARCHAR NOT NULL, PRIMARY KEY (tenant, id)) WITHOUT ROWID"
    )


# From version → the step to the next one.
STEPS: Final[Mapping[int, Step]] = MappingProxyType(
    {
        1: _quality_columns,
        2: _tenant_state,
        3: _voicemail_messages,
        4: _crypto_column,
        5: _outbox,
        6: _recordings,
        7: _beside_column,
        8: _waiting_messages,
        9: _subscriptions,
    }
)


def migrate(connection: Connection, version: int, *, steps: Mapping[int, Step] = STEPS) -> int:
    """Bring the schema of `connection` from `version` to the newest inside its transaction; returns that."""
    while step := steps.get(version):
        step(connection)
        version += 1
    connection.execute(schema.meta.update().where(schema.meta.c.key == "schema_version").values(value=str(version)))
    return version
