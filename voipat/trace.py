"""What the flight recorder kept, for people: lines of a ladder, messages without their secrets.

    0.000 10.0.0.1:5060 → voipat  INVITE sip:1002@office.test
    0.000 voipat → 10.0.0.1:5060  401 Unauthorized (INVITE)  VP-1001 Authentication required
    0.020 · call 5f0c…: 1001 calls 1002

Masked, with the length kept so that Content-Length stays true: digest responses and other credentials, passwords in
URIs, digits in INFO and KPML bodies, the text of a MESSAGE, keys of SDES.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from sipcore.flow import Address
from voipat import events
from voipat.reasons import REASONS
from voipat.recorder import Decision, Entry, Note, Trace

OURSELVES: Final = "voipat"
MASK: Final = b"x"

_CSEQ_METHOD: Final = re.compile(rb"\r?\nCSeq[ \t]*:[ \t]*\d+[ \t]+([^\s]+)", re.IGNORECASE)
_OUR_REASON: Final = re.compile(rb'\n(?:Warning|Reason)[^\r\n]*"(VP-\d{4}[^"\r\n]*)"', re.IGNORECASE)
# White space of a header, which may go on in the next line (RFC 3261 §7.3.1).
_LWS: Final = rb"(?:[ \t]|\r?\n[ \t])"
# Each has the secret as its last group.
_SECRETS: Final = (
    re.compile(rb'\b(?:response|rspauth)\s*=\s*"?([^",;\s]+)', re.IGNORECASE),
    re.compile(
        rb"\n(?:Proxy-)?Authorization[ \t]*:%(lws)b*(?!Digest\b)(?:[^\s,]+%(lws)b+)?(\S(?:(?:[^\n]|\n[ \t])*\S)?)"
        % {b"lws": _LWS},
        re.IGNORECASE,
    ),
    re.compile(rb"\bsips?:[^\s:@<>;\"]*:([^\s@<>\"]+)@", re.IGNORECASE),
    re.compile(rb"\binline:([^\s|;]+)", re.IGNORECASE),
    re.compile(rb"\bdigits\s*=\s*([\"'])([^\"']*)", re.IGNORECASE),
    re.compile(rb";postd=([^;>\s]+)", re.IGNORECASE),
)
_SIGNAL: Final = re.compile(rb"(?:^|\n)[ \t]*Signal[ \t]*=[ \t]*([^\r\n]+)", re.IGNORECASE)
# application/dtmf-relay: the milliseconds are no secret.
_DIGITS_OF_INFO: Final = re.compile(rb"((?:^|\n)[ \t]*Duration[ \t]*=[ \t]*\d{1,5}\b)|[0-9*#]", re.IGNORECASE)
# Leading empty lines and bare LF are taken from a peer, and therefore looked through.
_METHOD_AND_BODY: Final = re.compile(rb"[\r\n]*(INFO|MESSAGE) .*?\n\r?\n(.*)", re.DOTALL)
_TEXT: Final = re.compile(rb"[^\r\n]")


def kind_of(data: bytes) -> str:
    """ "INVITE" for a request, "200 INVITE" for a response, "" for what is no SIP."""
    words = data.split(b" ", 2)
    if len(words) < 3 or (words[0] != b"SIP/2.0" and b"SIP/2.0" not in data[:4096]):
        return ""
    if words[0] != b"SIP/2.0":
        return words[0].decode("ascii", "replace")
    method = _CSEQ_METHOD.search(data)
    return f"{words[1].decode('ascii', 'replace')} {method.group(1).decode('ascii', 'replace') if method else '?'}"


def summary(data: bytes, *, uris: bool = True) -> str:
    """The message in a few words: "INVITE sip:1002@office.test", "200 OK (INVITE)"; without `uris` "200 INVITE"."""
    first = data.split(b"\r\n", 1)[0].decode("utf-8", "replace")
    if first.startswith("SIP/2.0 "):
        method = kind_of(data).split(" ")[-1]
        status_line = first[len("SIP/2.0 ") :]
        return f"{status_line} ({method})" if uris else f"{status_line[:3]} {method}"
    return first.removesuffix(" SIP/2.0") if uris else first.split(" ", 1)[0]


def masked(data: bytes) -> bytes:
    """The message without its secrets, as long as it was."""
    for secret in _SECRETS:
        data = secret.sub(_mask_last_group, data)
    found = _METHOD_AND_BODY.match(data)
    if found is None:
        return data
    head, body = data[: found.start(2)], found.group(2)
    if found.group(1) == b"MESSAGE":
        return head + _TEXT.sub(MASK, body)
    return head + _DIGITS_OF_INFO.sub(lambda each: each.group(1) or MASK, _SIGNAL.sub(_mask_last_group, body))


def _mask_last_group(match: re.Match[bytes]) -> bytes:
    start, end = (place - match.start() for place in match.span(match.re.groups))
    text = match.group()
    return text[:start] + MASK * (end - start) + text[end:]


def our_reason(data: bytes) -> str:
    """The id and text of our own reason in a message, as "VP-3001 Unknown number"; "" when there is none."""
    found = _OUR_REASON.search(data.partition(b"\r\n\r\n")[0])
    return "" if found is None else found.group(1).decode("utf-8", "replace")


def ladder(trace: Trace, *, name_of: Callable[[Address], str] = str, uris: bool = True) -> Iterator[tuple[float, str]]:
    """The time (of the loop) and the text of each entry."""
    for entry in trace:
        yield entry.time, line_of(entry, name_of=name_of, uris=uris)


def line_of(entry: Entry, *, name_of: Callable[[Address], str] = str, uris: bool = True) -> str:
    """The entry as a line of the ladder, without its time."""
    if not isinstance(entry.what, bytes) or entry.flow is None:
        return f"· {decision_text(entry.what)}" if not isinstance(entry.what, bytes) else ""
    peer = name_of(entry.flow.remote)
    way = f"{OURSELVES} → {peer}" if entry.sent else f"{peer} → {OURSELVES}"
    return f"{way}  {summary(masked(entry.what), uris=uris)}"


def decision_text(what: Decision) -> str:
    """The decision as a sentence, without secrets."""
    return masked(_sentence(what).encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _sentence(what: Decision) -> str:
    match what:
        case Note():
            return str(what)
        case events.CallStarted():
            leg = "call" if what.leg == "a" else "attempt"
            tenant = f" of {what.tenant}" if what.tenant else ""
            return f"{leg} {what.id}: {what.caller} calls {what.callee}{tenant}"
        case events.CallRinging():
            return f"{what.id} rings"
        case events.CallAnswered():
            return f"{what.id} answered" + (f", {what.codec}" if what.codec else "")
        case events.CallRouted():
            return f"{what.id} goes to {what.target}"
        case events.CallTransferred():
            return f"{what.id}: {what.transferee} talks to {what.target} now, transferred by {what.transferor}"
        case events.CallTaken():
            return f"{what.id} takes the call {what.linked_id}"
        case events.CallEnded():
            cause = what.cause
            return f"{what.id} ended by {what.hangup_by}: {what.disposition}, {cause.sip} {cause.id} {cause.text}"
        case events.RequestRefused():
            known = REASONS.get(what.reason)
            text = "" if known is None else f" {known.text}"
            return f"{what.method} of {what.account} refused: {what.status} {what.reason}{text}"
