"""Subscriptions that outlive the process: who watches what, in which dialog, and who keeps it.

A restarted server goes on in the dialogs of before (RFC 6665 knows no way to tell a watcher otherwise that ours were
lost): each watcher gets a NOTIFY with the state as it is now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from sipcore.dialog import SavedDialog
from sipcore.values import value_object
from voipat.location import flow_of

# NOTIFYs since the last SUBSCRIBE were not counted by who keeps it: a number by the clock is higher than theirs, as
# they are at most two a second (RFC 3261 §8.1.1.5 makes such numbers too). It fits 31 bits until 2093.
_CLOCK_BEGINS: Final = 1_767_225_600.0


@value_object(frozen=True, slots=True)
class KeptSubscription:
    """One watcher of one resource of its tenant. `id` is our tag in the dialog; `expires_at` is wallclock."""

    id: str
    tenant: str
    watcher: str
    contact: str
    package: str
    user: str
    event: str
    expires_at: float
    dialog: SavedDialog

    def to_fields(self) -> dict[str, object]:
        """Everything that `from_fields` needs beside id, tenant and expiry; JSON-able."""
        dialog, flow = self.dialog, self.dialog.flow
        return {
            "watcher": self.watcher,
            "contact": self.contact,
            "package": self.package,
            "user": self.user,
            "event": self.event,
            "call_id": dialog.call_id,
            "remote_tag": dialog.remote_tag,
            "local_uri": dialog.local_uri,
            "remote_uri": dialog.remote_uri,
            "target": dialog.remote_target,
            "routes": dialog.route_set,
            "local_cseq": dialog.local_cseq,
            "remote_cseq": dialog.remote_cseq,
            "transport": flow.transport,
            "local": flow.local,
            "remote": flow.remote,
        }

    @classmethod
    def from_fields(cls, id_: str, tenant: str, expires_at: float, fields: dict[str, object]) -> KeptSubscription:
        """One out of the store. Raises: KeyError, TypeError or ValueError when the fields are not ours."""
        routes, remote_tag, remote_cseq = fields["routes"], fields["remote_tag"], fields["remote_cseq"]
        if not isinstance(routes, Sequence):
            raise TypeError("routes is no list")
        dialog = SavedDialog(
            call_id=str(fields["call_id"]),
            local_tag=id_,
            remote_tag=None if remote_tag is None else str(remote_tag),
            local_uri=str(fields["local_uri"]),
            remote_uri=str(fields["remote_uri"]),
            remote_target=str(fields["target"]),
            route_set=tuple(map(str, routes)),
            local_cseq=int(str(fields["local_cseq"])),
            remote_cseq=None if remote_cseq is None else int(str(remote_cseq)),
            flow=flow_of(fields),
        )
        texts = {name: str(fields[name]) for name in ("watcher", "contact", "package", "user", "event")}
        return cls(id=id_, tenant=tenant, expires_at=expires_at, dialog=dialog, **texts)


class SubscriptionKeeper(Protocol):
    """Keeps the subscriptions of an App. Every verb answers at once."""

    def kept_subscriptions(self) -> Iterable[KeptSubscription]:
        """Those of the process before, once, at the start."""

    def subscription_saved(self, subscription: KeptSubscription) -> None: ...

    def subscription_removed(self, tenant: str, id_: str) -> None: ...


def number_by_clock(wallclock: float) -> int:
    """What a count of the process before has not reached."""
    return max(int(wallclock - _CLOCK_BEGINS), 0)
