"""The flight recorder's traces as rows of the control socket, and those rows as a ladder, as text, as pcapng.

Secrets are masked here, before anything leaves the daemon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pbx.output import Row, printable, rfc3339
from pbx.pcapng import Endpoint, PcapngWriter
from voipat.recorder import Entry, Fate, Recorder, Trace
from voipat.trace import OURSELVES, decision_text, masked, our_reason, summary


def trace_rows(recorder: Recorder, *, tenant: str | None = None, failed: bool = False, limit: int) -> Iterator[Row]:
    """What is kept, newest first: of each call how it stands, and the cause of its end."""
    wanted = (Fate.FAILED, Fate.REFUSED) if failed else tuple(Fate)
    found = [trace for trace in recorder if trace.fate in wanted and tenant in (None, trace.tenant)]
    found.sort(key=lambda trace: trace.started, reverse=True)
    return (_trace_row(trace) for trace in found[:limit])


def entry_rows(trace: Trace, recorder: Recorder, *, messages: bool) -> Iterator[Row]:
    """The entries of a call; with `messages` each has its whole text."""
    first = recorder.limits.first_entries
    for number, entry in enumerate(trace):
        if number == first and trace.omitted:
            text = f"{trace.omitted} entries in the middle are not kept"
            yield {"time": _moment(trace.wallclock(entry.time)), "kind": "decision", "text": text}
        yield _entry_row(trace, entry, messages=messages)


def lines(rows: Iterable[Row], *, messages: bool) -> Iterator[str]:
    """The ladder of a call as it is printed."""
    for row in rows:
        time = _local(str(row["time"])).strftime("%H:%M:%S.%f")[:-3]
        yield printable(f"{time}  {_ladder_line(row)}")
        if messages and "message" in row:
            yield ""
            yield from (f"    {printable(line)}" for line in str(row["message"]).rstrip("\r\n").splitlines())
            yield ""


def write_pcapng(rows: Iterable[Row], path: Path) -> int:
    """Write the messages of the rows to `path`, the decisions as comments; how many packets. Raises: OSError."""
    count = 0
    with path.open("wb") as stream:
        writer = PcapngWriter(stream)
        for row in rows:
            if "message" not in row:
                writer.comment(str(row["text"]))
                continue
            if row["transport"] != "UDP":
                writer.comment(f"over {row['transport']}")
            message = str(row["message"]).encode("utf-8", "surrogateescape")
            moment = datetime.fromisoformat(str(row["time"])).timestamp()
            writer.packet(moment, _endpoint(row["from"]), _endpoint(row["to"]), message)
            count += 1
        writer.close()
    return count


def _trace_row(trace: Trace) -> Row:
    start = trace.start
    return {
        "started": _moment(trace.started),
        "id": trace.id,
        "tenant": trace.tenant,
        "caller": "" if start is None else start.caller,
        "callee": "" if start is None else start.callee,
        "fate": trace.fate.value,
        "cause": _cause(trace),
        "entries": len(trace),
        "omitted": trace.omitted,
        "bytes": trace.size,
        "call_ids": [call_id.decode("utf-8", "surrogateescape") for call_id in trace.call_ids],
    }


def _cause(trace: Trace) -> str:
    if trace.end is not None:
        return f"{trace.end.cause.id} {trace.end.cause.text}"
    if trace.refusal is not None:
        return trace.refusal.reason
    if trace.fate is not Fate.REFUSED:
        return ""
    reasons = (our_reason(entry.what) for entry in trace if entry.sent and isinstance(entry.what, bytes))
    return next((reason for reason in reversed(list(reasons)) if reason), "")


def _entry_row(trace: Trace, entry: Entry, *, messages: bool) -> Row:
    time = _moment(trace.wallclock(entry.time))
    if not isinstance(entry.what, bytes) or entry.flow is None:
        assert not isinstance(entry.what, bytes), "a message has its flow"
        return {"time": time, "kind": "decision", "text": decision_text(entry.what)}
    flow, data = entry.flow, masked(entry.what)
    ends = (str(flow.local), str(flow.remote)) if entry.sent else (str(flow.remote), str(flow.local))
    row: dict[str, object] = {
        "time": time,
        "kind": "message",
        "sent": bool(entry.sent),
        "from": ends[0],
        "to": ends[1],
        "transport": flow.transport,
        "text": summary(data),
    }
    if reason := our_reason(data):
        row["reason"] = reason
    if messages:
        row["message"] = data.decode("utf-8", "surrogateescape")
    return row


def _ladder_line(row: Row) -> str:
    if row["kind"] != "message":
        return f"· {row['text']}"
    way = f"{OURSELVES} → {row['to']}" if row["sent"] else f"{row['from']} → {OURSELVES}"
    reason = f"  {row['reason']}" if "reason" in row else ""
    return f"{way}  {row['text']}{reason}"


def _endpoint(text: object) -> Endpoint:
    host, _, port = str(text).rpartition(":")
    return host.strip("[]"), int(port)


def _local(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone()


def _moment(wallclock: float) -> str:
    return rfc3339(datetime.fromtimestamp(wallclock, UTC))
