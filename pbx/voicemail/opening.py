"""Opens the mailboxes of a data directory: sealed files, keys apart from them, PINs, rows of the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from media.sealed import RandomBytes
from pbx.recording_keys import FileTenantKeys
from pbx.recording_store import SealedRecordings
from pbx.secrets import Sealer, load_key
from pbx.tenant_state import LiveState
from pbx.voicemail.mailboxes import Mailboxes, MessageStores
from pbx.voicemail.pins import Pins

FOLDER = "voicemail"
KEYS_FOLDER = "voicemail-keys"


def open_mailboxes(
    data: Path, stores: MessageStores, state: LiveState, *, wallclock: Callable[[], float], random_bytes: RandomBytes
) -> Mailboxes:
    """The mailboxes, before `recover`. Blocks on the disk. Raises: SecretError, OSError."""
    keys = FileTenantKeys(data / KEYS_FOLDER, random_bytes)
    sealer = Sealer(load_key(data / KEYS_FOLDER / "pins.key", random_bytes), random_bytes)
    recordings = SealedRecordings(data / FOLDER, keys, random_bytes)
    pins = Pins(state, sealer, wallclock)
    return Mailboxes(stores, recordings, pins, wallclock=wallclock, random_bytes=random_bytes)
