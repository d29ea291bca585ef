"""Why we say no, or hang up: one stable id for each cause, the same on the wire, in CDR, event and log.

An id is for ever: it is never given to another cause. 1xxx who may ask, 2xxx room and state, 3xxx where a call
goes, 4xxx how a call ends, 5xxx registrations, 6xxx within a call,
7xxx calls that only pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Disposition = Literal["answered", "no_answer", "busy", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause: the SIP status for it, its Q.850 cause, the disposition in the CDR, and what to tell a person.

    `text` goes on the wire. `explanation` is the cause; `fix` what an operator or the user of the phone does about it,
    or "Nothing" and why. In both, backticks enclose keys of the configuration as `table.key`, and commands.
    """

    id: str
    status: int
    q850: int
    disposition: Disposition
    text: str
    explanation: str
    fix: str

    def warning(self, host: str) -> tuple[str, str]:
        """The header of a response (RFC 3261 §20.43)."""
        return "Warning", f'399 {host} "{self.id} {self.text}"'

    def header(self) -> tuple[str, str]:
        """The header of a BYE or CANCEL (RFC 3326)."""
        return "Reason", f'Q.850;cause={self.q850};text="{self.id} {self.text}"'


AUTHENTICATION_REQUIRED: Final = Reason(
    "VP-1001", 401, 21, "failed", "Authentication required",
    "The request had no valid credentials. The first one of a phone never has any, and is challenged so. An unknown "
    "user and a wrong password look the same on purpose.",
    "Nothing when the phone asks again and is let in. When it is refused again and again, the log has VP-1002 or "
    "VP-1003 for its address: mend what that says.")  # fmt: skip
WRONG_CREDENTIALS: Final = Reason(
    "VP-1002", 401, 21, "failed", "Wrong password",
    "Only in the log: the user exists, the password was wrong.",
    "Enter the password anew in the phone. When it is lost, write a new one to `extension.password` and run `voipat "
    "reload`.")  # fmt: skip
UNKNOWN_USER: Final = Reason(
    "VP-1003", 401, 21, "failed", "Unknown user",
    "Only in the log: the tenant has no such user, or the user may not use that digest algorithm.",
    "Make the user name in the phone (some call it authentication ID) the number of its extension, and its domain "
    "that of the tenant. A phone that knows only MD5 needs MD5 in `extension.digest`.")  # fmt: skip
FOREIGN_IDENTITY: Final = Reason(
    "VP-1004", 403, 21, "failed", "Identity is not yours",
    "The credentials are good, but From (in REGISTER: To) names somebody else.",
    "Enter the same number as user name and as authentication ID in the phone. A second line needs an extension of "
    "its own.")  # fmt: skip
DOMAIN_NOT_SERVED: Final = Reason(
    "VP-1005", 403, 21, "failed", "Not served here",
    "No tenant has the domain of the request.",
    "Set the phone's domain (registrar, SIP server) to `tenant.domain` of its tenant. For phones that use the "
    "server's address instead, name the tenant in `server.default_tenant`.")  # fmt: skip
STRANGERS_NOT_SERVED: Final = Reason(
    "VP-1006", 403, 21, "failed", "Not served here",
    "A request from a domain that is not ours, and nothing here takes calls from strangers.",
    "For a carrier's call, add the address that it comes from to `trunk.addresses`. A phone has to use its tenant's "
    "domain. Strangers get no answer at all after a restart with `server.guard.foreign = false`.")  # fmt: skip
METHOD_NOT_ALLOWED: Final = Reason(
    "VP-1007", 405, 79, "failed", "Method not allowed",
    "This server does not take the method; Allow lists those it takes.",
    "Nothing: calls work without the method. When the refusals disturb, switch the feature that sends it off in the "
    "phone.")  # fmt: skip
TOO_MANY_REQUESTS: Final = Reason(
    "VP-1008", 503, 42, "failed", "Too many requests",
    "The source sends more requests without valid credentials than the guard allows, or too many guess the password "
    "of the account.",
    "Find out what sends them, in the log or with `voipat trace --failed`: mostly a phone with a wrong password. The "
    "address of a site with very many phones, or of a monitor, belongs in `server.guard.trusted`, which takes a "
    "restart.")  # fmt: skip
SOURCE_BANNED: Final = Reason(
    "VP-1009", 403, 21, "failed", "Source banned",
    "Only in the log: too many wrong passwords came from the source; it gets no answer for a while.",
    "Correct the password in the phone, then run `voipat bans --lift ADDRESS`; `voipat bans` shows the addresses. One "
    "that must never be banned belongs in `server.guard.trusted`, which takes a restart.")  # fmt: skip
METHOD_UNKNOWN: Final = Reason(
    "VP-1010", 501, 97, "failed", "Method not implemented",
    "This server knows no such method; Allow lists those it takes.",
    "Nothing: calls work without the method. When the refusals disturb, switch the feature that sends it off in the "
    "phone.")  # fmt: skip
UNKNOWN_SCHEME: Final = Reason(
    "VP-1011", 416, 88, "failed", "Unsupported URI scheme",
    "The request is for a URI that is neither sip, sips nor tel.",
    "Dial a number or a sip address, and correct the entry in the phone's address book that has another kind of "
    "address.")  # fmt: skip
UNKNOWN_EXTENSION: Final = Reason(
    "VP-1012", 420, 29, "failed", "Extension not supported",
    "The request needs an extension (Require, Proxy-Require) that is not there; Unsupported lists it.",
    "Switch the extension that Unsupported names off in the phone or at the carrier, or make it optional there "
    "(Supported instead of Require).")  # fmt: skip
UNREADABLE: Final = Reason(
    "VP-1013", 400, 95, "failed", "Unreadable request",
    "The request breaks the grammar of SIP or a limit; the text of the status line says where. The status may also be "
    "414, 501, 505 or 513.",
    "Read the text of the status line and update the sender's firmware: the fault is in what it sends. A scanner's "
    "request needs nothing.")  # fmt: skip

DRAINING: Final = Reason(
    "VP-2001", 503, 42, "failed", "Server is shutting down",
    "The daemon drains: calls under way finish, new ones are refused.",
    "Call again when the server is back: it ends after `server.drain_s` seconds at the latest.")  # fmt: skip
SERVER_FULL: Final = Reason(
    "VP-2002", 503, 42, "failed", "Server is full",
    "As many calls are up as media ports and descriptors allow. The start prints the limit, and which of the two it "
    "is.",
    "Widen the range of `server.media`, or raise the limit of open files (LimitNOFILE of the service), and restart. "
    "`voipat capacity` measures what the machine can carry.")  # fmt: skip
CALLER_LIMIT: Final = Reason(
    "VP-2003", 503, 34, "failed", "Call limit of the caller reached",
    "The calling extension has as many calls up as its `extension.max_calls`.",
    "End one of them (`voipat calls` lists them), or raise `extension.max_calls`.")  # fmt: skip
CALLEE_LIMIT: Final = Reason(
    "VP-2004", 486, 17, "busy", "Call limit of the callee reached",
    "The called extension has as many calls up as its `extension.max_calls`.",
    "Call later, or raise `extension.max_calls` of who is called. `extension.forward.busy` leads such calls "
    "elsewhere.")  # fmt: skip
NO_MEDIA_PORT: Final = Reason(
    "VP-2005", 503, 34, "failed", "No media port left",
    "Every port of the media range is in use or resting.",
    "Widen the range of `server.media` and restart.")  # fmt: skip
INTERNAL_ERROR: Final = Reason(
    "VP-2006", 500, 41, "failed", "Internal error",
    "The program that handles the call failed; the log has the traceback under the call's id.",
    "Look up the traceback in the log by the id of the call. Mend the program (`program.file`) and run `voipat "
    "reload`; a traceback without a line of a program of yours is a defect of voipat: report it.")  # fmt: skip
OVERLOADED: Final = Reason(
    "VP-2007", 503, 42, "failed", "Server is overloaded",
    "More came than could be served in time; what is new is refused first, calls under way go on.",
    "Look at overload_shed, overload_late_s, engine_tick_p99_ms and what was refused in `voipat stats`. Stop the "
    "source of a flood; when it is the daily load, `voipat capacity` says how much this machine carries.")  # fmt: skip
CONFERENCE_FULL: Final = Reason(
    "VP-2008", 486, 17, "busy", "Conference is full",
    "The conference has as many members as it may.",
    "Wait until somebody leaves, or raise `conference.max_parties`.")  # fmt: skip
CONFERENCE_LOCKED: Final = Reason(
    "VP-2009", 403, 21, "failed", "Conference is locked",
    "Somebody has locked the conference; those who are in it stay.",
    "Ask a moderator inside to press 9, which opens the room. Whoever enters with `conference.moderator_pin` comes in "
    "all the same.")  # fmt: skip
FOREIGN_CONFERENCE: Final = Reason(
    "VP-2010", 403, 21, "failed", "Not your conference",
    "The conference belongs to another tenant than the caller.",
    "Use a conference of the caller's own tenant: none is open to another one.")  # fmt: skip
TOO_MANY_TRANSACTIONS: Final = Reason(
    "VP-2011", 503, 42, "failed", "Too many transactions",
    "As many requests are under way as the server keeps.",
    "Try again after the seconds of Retry-After. When it goes on, find in the log and in `voipat stats` what sends so "
    "many requests.")  # fmt: skip

UNKNOWN_NUMBER: Final = Reason(
    "VP-3001", 404, 1, "failed", "Unknown number",
    "The tenant has no such extension or code.",
    "Ask `voipat route NUMBER --from WHO` which rules were tried. Dial a number that there is, or add an extension, a "
    "`did.number` or a `route.pattern` for it.")  # fmt: skip
NOT_REGISTERED: Final = Reason(
    "VP-3002", 480, 20, "failed", "Not registered",
    "The extension exists, but no phone is registered for it now.",
    "Switch the phone on, and look in the log for VP-1002 or VP-1003 when `voipat registrations` does not show it. "
    "`extension.forward.unreachable` leads such calls elsewhere.")  # fmt: skip
NO_ANSWER: Final = Reason(
    "VP-3003", 480, 19, "no_answer", "No answer",
    "The phones rang until the time was over and nobody picked up.",
    "Nothing: nobody picked up. `extension.ring_s` says how long it rings, and `extension.forward.no_answer` leads "
    "such calls elsewhere.")  # fmt: skip
BUSY: Final = Reason(
    "VP-3004", 486, 17, "busy", "Busy",
    "The callee's phone said busy.",
    "Nothing: call later. `extension.forward.busy` leads such calls elsewhere.")  # fmt: skip
DECLINED: Final = Reason(
    "VP-3005", 603, 21, "failed", "Declined",
    "The callee refused the call.",
    "Nothing: a person did not want the call.")  # fmt: skip
UNREACHABLE: Final = Reason(
    "VP-3006", 480, 27, "failed", "Phone unreachable",
    "The phone is registered, but did not react at all, or its connection failed.",
    "Check the phone's power and network, and its address in `voipat registrations`. Behind a NAT, keep the way to it "
    "open with `server.registrar.keepalive_s`, or register it over TCP or TLS.")  # fmt: skip
CALLEE_REFUSED: Final = Reason(
    "VP-3007", 480, 31, "failed", "Refused by the phone",
    "The callee's phone refused the call with a status that is not passed on.",
    "Look up the status that the phone sent in `voipat trace CALL`, and change the setting of the phone that makes it "
    "refuse (404: it knows itself by another number).")  # fmt: skip
NO_COMMON_CODEC: Final = Reason(
    "VP-3008", 488, 88, "failed", "No common codec",
    "Caller and callee, or caller and server, have no audio codec in common.",
    "Compare the codecs of both sides in `voipat trace CALL --messages`. Allow a common one in the phone, and in "
    "`extension.codecs` or `trunk.codecs`, when these limit them.")  # fmt: skip
CALLEE_CHALLENGED: Final = Reason(
    "VP-3009", 480, 21, "failed", "Phone wants credentials",
    "The callee's phone asked us for a password. A phone never gets one from us.",
    "Switch off in the phone that incoming calls have to authenticate.")  # fmt: skip
REDIRECTED: Final = Reason(
    "VP-3010", 480, 23, "failed", "Redirect not followed",
    "The callee's phone or trunk redirected the call (3xx) to an address that it may not send calls to, or too "
    "often.",
    'Forward only to numbers of the own tenant in the phone, and allow it by `extension.redirects = "follow"`. A '
    'carrier may redirect when `trunk.redirects` is follow or pass.')  # fmt: skip
SENT_ELSEWHERE: Final = Reason(
    "VP-3030", 302, 23, "failed", "Sent elsewhere",
    "The caller was told to call another address by itself: by a program, or by a trunk whose `trunk.redirects` is "
    "pass.",
    'Nothing: the phone that called calls that address. `trunk.redirects = "follow"` does it here '
    'instead.')  # fmt: skip
NOT_TAKEN: Final = Reason(
    "VP-3011", 480, 31, "failed", "Not taken",
    "The program that handles the number ended without answering.",
    "Look in the log and in the program (`program.file`) for the way on which it ends without answer(), dial() or a "
    "reason of its own.")  # fmt: skip
BAD_TARGET: Final = Reason(
    "VP-3012", 404, 28, "failed", "Unusable target",
    "The number or address to call is no SIP address that this server can reach.",
    "Dial a number, or an address whose host the DNS of this server can resolve.")  # fmt: skip
TOO_MANY_HOPS: Final = Reason(
    "VP-3013", 483, 25, "failed", "Too many hops",
    "The call passed too many servers; most likely it goes in a circle.",
    "Find the circle in `voipat trace CALL`: two servers that send the number to each other. Take one of the two ways "
    "out: a forward of a phone, a route here, or one at the other server.")  # fmt: skip
BAD_DESCRIPTION: Final = Reason(
    "VP-3014", 488, 88, "failed", "Unusable session description",
    "The session description cannot be read, or breaks a limit.",
    "Look at the description in `voipat trace CALL --messages` and update the sender's firmware: the fault is in what "
    "it sends.")  # fmt: skip
UNKNOWN_BODY: Final = Reason(
    "VP-3015", 415, 79, "failed", "Unsupported body",
    "The INVITE has a body that is no session description.",
    "Have the sender put a session description into its INVITE, and mark other bodies as optional "
    "(handling=optional). Accept in the response lists what is taken.")  # fmt: skip
UNACCEPTABLE_ANSWER: Final = Reason(
    "VP-3016", 406, 79, "failed", "Session description not accepted",
    "The INVITE has an Accept header without application/sdp, so no answer could be sent.",
    "Have the sender put application/sdp into Accept, or leave the header out.")  # fmt: skip
NO_REACHABLE_PHONE: Final = Reason(
    "VP-3017", 480, 27, "failed", "No phone reachable",
    "Phones are registered, but none answers the keep-alive any more. The call was refused at once instead of waiting "
    "for them.",
    '`voipat registrations` says which: check their power and network. For phones that ignore OPTIONS set '
    '`server.registrar.keepalive = "crlf"` and restart.')  # fmt: skip
NO_SECURE_PHONE: Final = Reason(
    "VP-3018", 480, 20, "failed", "No phone over TLS",
    "The call is to a sips address, and no phone of the extension is registered over TLS.",
    "Register a phone of the extension over TLS (a tls listener in `server.listen`), or call the sip address instead "
    "of the sips one.")  # fmt: skip

MEDIA_NOT_SECURE: Final = Reason(
    "VP-3019", 488, 88, "failed", "Media not secure enough",
    "Encrypted media is required here, was there before, or cannot be agreed on: the keys are missing, cannot be "
    "used, or would go over signalling that anyone can read.",
    'Switch SRTP on in the phone and register it over TLS. Where plain media will do, set `extension.srtp = '
    '"optional"` or `trunk.srtp = "optional"`. `extension.sdes_over_plain = true` takes keys over UDP and TCP, where '
    'whoever is on the path reads them.')  # fmt: skip
MERGED: Final = Reason(
    "VP-3020", 482, 25, "failed", "Request came twice",
    "A proxy on the way has forked the request and both copies came here (RFC 3261 §8.2.2.2); the first one is "
    "served.",
    "Nothing: the first copy is served. When it is every call, let the proxy in front know this server by one address "
    "only.")  # fmt: skip

TRUNK_UNAVAILABLE: Final = Reason(
    "VP-3201", 503, 38, "failed", "Trunk unavailable",
    "The trunk answered with a server error, or could not be reached; the next trunk was tried.",
    "Look up the carrier's answer in `voipat trace CALL` and the trunk's state in `voipat trunks`, and ask the "
    "carrier. A second trunk in `route.trunks` carries such calls.")  # fmt: skip
NO_TRUNK: Final = Reason(
    "VP-3202", 503, 34, "failed", "No trunk available",
    "Every trunk for the number is out of service or full.",
    "`voipat trunks` says which and why. Raise `trunk.max_calls` and `trunk.cps` when the carrier allows more, or add "
    "a trunk to `route.trunks`.")  # fmt: skip
TRUNK_SILENT: Final = Reason(
    "VP-3203", 503, 38, "failed", "Trunk silent",
    "The trunk did not react to the call at all; the next trunk was tried.",
    "Check `trunk.host`, `trunk.transport` and the firewall between here and the carrier: nothing came back to our "
    "INVITE.")  # fmt: skip
UNALLOCATED: Final = Reason(
    "VP-3204", 404, 1, "failed", "Unallocated number",
    "The carrier knows no such number, or no route leads to it.",
    "Ask `voipat route NUMBER --from WHO` what became of the number: `tenant.country_code`, `route.strip`, "
    "`route.add` and `trunk.numbers` change it. When it is right, it does not exist.")  # fmt: skip
INVALID_NUMBER: Final = Reason(
    "VP-3205", 484, 28, "failed", "Invalid number",
    "The number is too short, too long, or has characters that no number has.",
    "Dial the whole number. When it was whole, ask `voipat route NUMBER --from WHO` what became of it: `route.strip`, "
    "`route.add` and `trunk.numbers` change it.")  # fmt: skip
CALLER_ID_REFUSED: Final = Reason(
    "VP-3206", 403, 21, "failed", "Caller number not allowed",
    "The trunk takes only the numbers of `trunk.caller_ids`, and `trunk.caller_id_policy` is to refuse others.",
    'Add the number to `trunk.caller_ids` when it is yours, or show another one in its place: `trunk.caller_id_policy '
    '= "replace"` with `trunk.caller_id`.')  # fmt: skip
TRUNK_LIMIT: Final = Reason(
    "VP-3207", 503, 34, "failed", "Call limit of the trunk reached",
    "The trunk has as many calls up as `trunk.max_calls`, or as many new ones in this second as `trunk.cps`.",
    "Raise `trunk.max_calls` and `trunk.cps` to what the carrier allows. A second trunk in `route.trunks` carries "
    "what is too much.")  # fmt: skip
TRUNK_CREDENTIALS: Final = Reason(
    "VP-3208", 503, 21, "failed", "Trunk wants other credentials",
    "The trunk refused our credentials, or asked for a realm that is not the configured one: it got none.",
    "Set `trunk.realm` to the realm of the carrier's challenge (`voipat trace CALL --messages` has it), and check "
    "`trunk.username` and `trunk.password`; then run `voipat reload`.")  # fmt: skip
CALL_LOOP: Final = Reason(
    "VP-3209", 482, 25, "failed", "Call goes in a circle",
    "The call was forwarded more often than allowed, or came back to the proxy as it had left it.",
    "Find the circle in `voipat trace CALL`, and take one forward out of it: in the file `extension.forward.always`; "
    "what a phone has set by a code with `voipat set OBJECT forward.always`.")  # fmt: skip

TENANT_LIMIT: Final = Reason(
    "VP-3210", 503, 34, "failed", "Call limit of the tenant reached",
    "The tenant has as many calls up as its `tenant.limits.max_calls`.",
    "Wait until some end (`voipat calls` lists them), or raise `tenant.limits.max_calls`.")  # fmt: skip

DO_NOT_DISTURB: Final = Reason(
    "VP-3301", 486, 17, "busy", "Do not disturb",
    "The called extension has set do-not-disturb, by a code, the command line or its configuration.",
    "Take it back with `voipat set OBJECT dnd=off`, by the code `tenant.features.dnd_off` at the phone, or in the "
    "file at `extension.dnd`.")  # fmt: skip
BUSY_LEVEL: Final = Reason(
    "VP-3302", 486, 17, "busy", "Busy on another call",
    "The called extension has as many calls up as its `extension.busy_level`.",
    "Call later, or raise `extension.busy_level`. `extension.forward.busy` leads such calls elsewhere.")  # fmt: skip
CLASS_OF_SERVICE: Final = Reason(
    "VP-3303", 403, 57, "failed", "Not allowed to call there",
    "The class of service of the extension, or of the one that forwards, or the tenant's limits do not allow the "
    "number.",
    "Ask `voipat route NUMBER --from WHO` which rule it was. Then allow it by `class.routes`, `class.outside` or "
    "`class.premium`; other countries need `tenant.limits.international`, and in a class `class.international` "
    "too.")  # fmt: skip
CALLER_BLOCKED: Final = Reason(
    "VP-3304", 603, 21, "failed", "Caller blocked",
    "The caller's number is on the block list, or is one of the tenant's own and came from outside.",
    'When the caller is welcome, take the number out of `tenant.screening.block`. Own numbers from outside are let in '
    'by `tenant.screening.own_numbers = "mark"`.')  # fmt: skip
ANONYMOUS_REFUSED: Final = Reason(
    "VP-3305", 433, 21, "failed", "Anonymous calls are refused",
    "The caller hides its number, and the tenant takes no such calls (RFC 5079).",
    'Call again and show the number. `tenant.screening.anonymous = "accept"` lets all in.')  # fmt: skip
OUTSIDE_LIMIT: Final = Reason(
    "VP-3306", 403, 57, "failed", "Limit of outside calls reached",
    "The extension or its tenant has as many outside calls up, in this minute or today, as its limits allow. "
    "Emergency calls are never counted.",
    "See in `voipat cdr` who calls outside so much: it may be fraud. When it is not, raise "
    "`tenant.limits.outside_calls`, `tenant.limits.outside_calls_per_minute` or "
    "`tenant.limits.outside_calls_per_day`, or `extension.outside_calls` and "
    "`extension.outside_calls_per_minute`.")  # fmt: skip
TENANT_RATE: Final = Reason(
    "VP-3307", 503, 42, "failed", "Too many calls of the tenant",
    "The tenant starts more calls in a second than it may; others are not touched.",
    "See in `voipat cdr` what starts them (a dialler, calls in a circle), or raise "
    "`tenant.limits.calls_per_second`.")  # fmt: skip
SERVICE_MISSING: Final = Reason(
    "VP-3308", 501, 79, "failed", "Service not installed",
    "The number is that of a service which this server does not run.",
    "Lead the number elsewhere, or add the flow of the service to the program that was put together without "
    "it.")  # fmt: skip
WRONG_FEATURE_USE: Final = Reason(
    "VP-3309", 484, 28, "failed", "Incomplete feature code",
    "The feature code needs a number after it that this extension may call.",
    "Dial code and number in one, such as *72 and 1002, with a number that the phone could call itself.")  # fmt: skip
TURNED_AWAY: Final = Reason(
    "VP-3310", 480, 31, "failed", "Ended by the dial plan",
    "The dial plan hangs up here: a menu's, group's or number's target is hangup.",
    "Nothing when that is meant. Otherwise give the object another target: `menu.otherwise`, `ring_group.otherwise`, "
    "`queue.otherwise`, `announcement.otherwise` or `did.closed`.")  # fmt: skip
PARK_FULL: Final = Reason(
    "VP-3321", 486, 17, "busy", "All parking places are taken",
    "Every slot of the park has a call, as many as it has; the call stays with who wanted to park it.",
    "Take a call out of the park (`voipat parked` lists them), or widen `park.slots`.")  # fmt: skip
NOTHING_PARKED: Final = Reason(
    "VP-3322", 404, 1, "failed", "No call is parked there",
    "The slot is empty: the call was taken by somebody else, has ended, or went back to who parked it.",
    "See in `voipat parked` which calls wait where. `park.timeout_s` says how long one waits before it goes "
    "back.")  # fmt: skip
PAGE_REFUSED: Final = Reason(
    "VP-3325", 403, 57, "failed", "May not page",
    "The page lists who may use it, and this caller is none of them; outside nobody may.",
    "Add the extension to `page.callers`, or leave the list empty for all extensions.")  # fmt: skip
NOBODY_PAGED: Final = Reason(
    "VP-3326", 480, 19, "no_answer", "No phone answered the page",
    "Every phone of the page is in a call, wants none, is not registered, or does not answer by itself.",
    "Allow it to answer by itself in the settings of each phone of `page.members` (intercom, auto answer), and see in "
    "`voipat registrations` whether they are there.")  # fmt: skip
INTERCOM_REFUSED: Final = Reason(
    "VP-3327", 403, 57, "failed", "Takes no intercom calls",
    "The phone of the extension must not be made to answer by itself.",
    "Set `extension.intercom = true` for the extension that is called. An extension cannot call itself "
    "so.")  # fmt: skip
MONITOR_REFUSED: Final = Reason(
    "VP-3328", 403, 57, "failed", "May not listen to that call",
    "The caller's extension may not hear the calls of others, or those of the other one may not be heard; the attempt "
    "is audited.",
    'Set `extension.monitor = "listen"` (or whisper, or barge) for who hears, and `extension.monitored = true` for '
    'whose calls may be heard. `voipat audit` lists the attempts.')  # fmt: skip
NOBODY_TALKS: Final = Reason(
    "VP-3329", 480, 31, "failed", "Nobody talks there",
    "The extension is in no conversation that could be heard.",
    "Try again when the extension talks with somebody: `voipat calls` shows it.")  # fmt: skip
NO_DESK: Final = Reason(
    "VP-3330", 403, 57, "failed", "Not a shared desk",
    "Whoever logs in or out does so at the phone of a shared desk; this one is none.",
    "Dial the code at a shared desk's phone, or make this one such a desk: `extension.desk = true`.")  # fmt: skip
NOBODY_LOGGED_IN: Final = Reason(
    "VP-3331", 480, 31, "failed", "Nobody is logged in here",
    "The desk is nobody's: there is no one to log out.",
    "Nothing: the desk is free already. `voipat desks` shows who has logged in where.")  # fmt: skip
NOTHING_TO_PICK_UP: Final = Reason(
    "VP-3323", 404, 1, "failed", "No call rings there",
    "No phone of the pickup group, or of the extension, rings now.",
    "Nothing: the call was answered or given up meanwhile.")  # fmt: skip
PICKUP_REFUSED: Final = Reason(
    "VP-3324", 403, 57, "failed", "Not of your pickup group",
    "Only extensions of the same pickup_group take each other's calls.",
    "Give both extensions the same `extension.pickup_group`.")  # fmt: skip

NO_MAILBOX: Final = Reason(
    "VP-3311", 480, 20, "failed", "No such mailbox",
    "The plan leads to the mailbox of an extension that has none, or whose mailbox is switched off.",
    "Give the extension a mailbox (`extension.mailbox.pin`), switch it on with `extension.mailbox.enabled = true`, or "
    "lead the plan elsewhere.")  # fmt: skip
TOO_MANY_PINS: Final = Reason(
    "VP-3312", 403, 21, "failed", "Wrong PIN too often",
    "The caller gave a wrong PIN again and again; after five in a row the mailbox is locked for a while.",
    "Wait five minutes and try again. For a forgotten PIN set a new `extension.mailbox.pin`, `extension.desk_pin` or "
    "`conference.pin`.")  # fmt: skip

NORMAL_CLEARING: Final = Reason(
    "VP-4001", 200, 16, "answered", "Normal call clearing",
    "Somebody hung up.",
    "Nothing: so a call ends.")  # fmt: skip
NETWORK_CLEARED: Final = Reason(
    "VP-4035", 200, 127, "answered", "Cleared by the network",
    "The BYE of the other side gave a cause (Reason, Q.850) that is no hang-up; the CDR has its number.",
    "Nothing for a single call. When it is many, look the number up in Q.850 (`voipat cdr --json` has it) and ask the "
    "carrier.")  # fmt: skip
COMPLETED_ELSEWHERE: Final = Reason(
    "VP-4002", 200, 26, "cancelled", "Call completed elsewhere",
    "Another phone of the same extension answered.",
    "Nothing: the call is answered.")  # fmt: skip
CALLER_GAVE_UP: Final = Reason(
    "VP-4003", 487, 16, "cancelled", "Caller gave up",
    "The caller hung up before the answer.",
    "Nothing: the caller did not wait any longer.")  # fmt: skip
MEDIA_TIMEOUT: Final = Reason(
    "VP-4004", 408, 41, "failed", "No media received",
    "No RTP came for the time of the media timeout: the phone or its network is gone.",
    "Check the phone's network, and that firewalls let UDP through to the ports of `server.media`. Behind a NAT set "
    "`server.advertised` and restart. The time is `server.media_timeout_s`.")  # fmt: skip
NO_ACK: Final = Reason(
    "VP-4005", 408, 102, "failed", "No ACK received",
    "The caller never acknowledged the answer: mostly it cannot reach the address in our Contact, or a NAT in between "
    "changes messages.",
    "Behind a NAT set `server.advertised`, and `server.local_networks` for the phones inside, and restart. Switch off "
    "SIP ALG in the router.")  # fmt: skip
OPERATOR: Final = Reason(
    "VP-4006", 480, 16, "failed", "Ended by the operator",
    "An operator hung up.",
    "Nothing: somebody ended the call on purpose, as by `voipat hangup ID`.")  # fmt: skip
SHUTDOWN: Final = Reason(
    "VP-4007", 503, 41, "failed", "Server shut down",
    "The time to finish was over when the daemon ended.",
    "Raise `server.drain_s`, so that calls have longer to end before the next restart.")  # fmt: skip
NO_SDP_ANSWER: Final = Reason(
    "VP-4008", 488, 95, "failed", "No answer to our offer",
    "We offered the media in our 200 and the ACK brought no usable answer.",
    "Look at the ACK in `voipat trace CALL --messages`, and update the caller's firmware, or have it make the offer "
    "in its INVITE.")  # fmt: skip
DIALOG_LOST: Final = Reason(
    "VP-4009", 481, 102, "failed", "Peer lost the call",
    "The peer did not know the call any more, or did not react within it.",
    "Nothing when the phone was restarted. Otherwise see in `voipat trace CALL` which request got no answer or 481, "
    "and switch off SIP ALG in the router on the way.")  # fmt: skip
ALL_REFUSED: Final = Reason(
    "VP-4010", 200, 31, "cancelled", "Another phone refused for all",
    "One phone of the extension refused with a 6xx, which stops the others too.",
    "Nothing when the person meant all phones. Otherwise have the phone refuse with 486 instead of 6xx.")  # fmt: skip
NO_PRACK: Final = Reason(
    "VP-4011", 504, 102, "failed", "Caller never acknowledged our progress",
    "No PRACK came for a reliable provisional response within 32 seconds (RFC 3262).",
    "Switch 100rel (PRACK) off in the caller's phone. When the ACK is missing in other calls too (VP-4005), the way "
    "back is at fault: set `server.advertised` behind a NAT and restart.")  # fmt: skip
SESSION_EXPIRED: Final = Reason(
    "VP-4012", 408, 102, "failed", "Session not refreshed",
    "The session timer (RFC 4028) ran out: the peer did not refresh the call, or did not answer our refresh. The "
    "phone is gone, or something on the way lost the dialog.",
    "Check the phone's network, and switch off SIP ALG in the router on the way. `server.session_expires_s` says how "
    "long a call may go without a refresh.")  # fmt: skip
HANDSHAKE_FAILED: Final = Reason(
    "VP-4013", 488, 95, "failed", "No secure media",
    "The DTLS handshake did not end in 5 seconds, or the certificate was not the one that the SDP named.",
    'Check that UDP passes between the phone and the ports of `server.media`. A phone with TLS may use SDES instead: '
    '`extension.srtp_exchange = "sdes"`.')  # fmt: skip
REMOVED_FROM_CONFERENCE: Final = Reason(
    "VP-4014", 200, 16, "answered", "Removed from the conference",
    "Somebody who may do so has put the call out of its conference.",
    "Nothing: a moderator or a program did so on purpose.")  # fmt: skip
HUNG_UP_MEANWHILE: Final = Reason(
    "VP-4015", 487, 16, "cancelled", "Hung up meanwhile",
    "The call was ended by BYE while this INVITE of it was not answered yet.",
    "Nothing: the call was over before its change was answered.")  # fmt: skip

CONTACT_STAR: Final = Reason(
    "VP-5001", 400, 95, "failed", "Contact * needs Expires 0",
    "Contact: * stands alone and only with Expires: 0 (RFC 3261 §10.2.2).",
    "Update the phone's firmware, or have it remove its own Contact alone.")  # fmt: skip
TOO_BRIEF: Final = Reason(
    "VP-5002", 423, 41, "failed", "Interval too brief",
    "The registration, subscription or publication asks for less time than Min-Expires says.",
    "Set the interval in the phone to 60 seconds or more. Most phones do so by themselves when they are "
    "told.")  # fmt: skip
OUT_OF_ORDER: Final = Reason(
    "VP-5003", 500, 41, "failed", "REGISTER out of order",
    "A REGISTER with the same Call-ID and a higher CSeq was here before; nothing was changed.",
    "Nothing when it was a late copy. When every REGISTER is refused, restart the phone, which gives it a new "
    "Call-ID.")  # fmt: skip
TOO_MANY_CONTACTS: Final = Reason(
    "VP-5004", 403, 42, "failed", "Too many contacts",
    "The address of record has as many contacts as it may.",
    "See in `voipat registrations` which there are. Switch off those that are not used, or wait until they expire; "
    "give further phones an extension of their own.")  # fmt: skip
BAD_CONTACT: Final = Reason(
    "VP-5005", 400, 95, "failed", "Unusable Contact",
    "A Contact is no SIP URI, longer than allowed, a sips URI registered without TLS, or one of several on a flow "
    "that is for one phone.",
    "Register a sips Contact over TLS, or have the phone use a sip one; with outbound (RFC 5626) it registers one "
    "Contact at a time.")  # fmt: skip
BAD_ADDRESS_OF_RECORD: Final = Reason(
    "VP-5006", 400, 95, "failed", "To is no SIP address",
    "The To of a REGISTER is no sip or sips URI.",
    "Set the phone's account to sip:NUMBER@DOMAIN, with the number of its extension and the domain of its "
    "tenant.")  # fmt: skip

CONTACT_IS_AOR: Final = Reason(
    "VP-5050", 403, 25, "failed", "Contact is the address of record",
    "A phone that asks for a GRUU registered its own public address as Contact: calls would come back to us for "
    "ever.",
    "Have the phone put its own host into Contact, not the domain of the tenant.")  # fmt: skip
NO_OUTBOUND: Final = Reason(
    "VP-5010", 439, 41, "failed", "First hop lacks outbound support",
    "The phone wants several flows (RFC 5626), and the proxy in between keeps none: its Path has no ob.",
    "Switch outbound (RFC 5626) off in the phone, have it register here directly, or use a proxy that keeps flows (ob "
    "in its Path).")  # fmt: skip

NO_TRANSFER: Final = Reason(
    "VP-6001", 603, 29, "failed", "Transfer not allowed",
    "A REFER is taken from phones of ours, in a call with somebody, for a target of their own tenant.",
    "Transfer from a registered phone that is in a call, to a number of its own tenant.")  # fmt: skip
NOTHING_TO_TAKE_OVER: Final = Reason(
    "VP-6032", 603, 101, "failed", "No such call to take over",
    "The Replaces of the REFER names no call of the tenant that is up: it has ended meanwhile. The call of the REFER "
    "itself goes on; 481 would have ended it (RFC 5057).",
    "Nothing: both go on. Transfer to the number itself, without asking there first.")  # fmt: skip
CHANGE_REFUSED: Final = Reason(
    "VP-6002", 488, 88, "failed", "Change of the session refused",
    "The other side refused the change; the session stays as it was.",
    "Nothing when it is once. When hold or fax never works, look up the answer of the other side in `voipat trace "
    "CALL`.")  # fmt: skip
CHANGE_PENDING: Final = Reason(
    "VP-6003", 491, 41, "failed", "Another change is under way",
    "Both sides changed the session at the same time.",
    "Nothing: the phone tries again by itself.")  # fmt: skip
BAD_INFO: Final = Reason(
    "VP-6004", 469, 79, "failed", "Info package not supported",
    "The INFO belongs to a package that was not agreed on (RFC 6086).",
    "Nothing: calls work without packages, and digits come by RFC 4733.")  # fmt: skip
INFO_DIGITS_REFUSED: Final = Reason(
    "VP-6033", 415, 79, "failed", "Digits by INFO not accepted",
    "The INFO brings digits (application/dtmf-relay or application/dtmf), and those of this leg are taken from its "
    "media only. The call goes on without them.",
    "Set DTMF to RFC 4733 (RFC 2833) in the phone or at the carrier, or take its INFOs: `extension.dtmf_info = true` "
    "or `trunk.dtmf_info = true`.")  # fmt: skip
NO_SUCH_CALL: Final = Reason(
    "VP-6005", 481, 101, "failed", "No such call",
    "The call ended before the request came, or was never known here.",
    "Nothing: the call is over. When calls are lost that were up, see in the log whether the server was "
    "restarted.")  # fmt: skip

NEEDS_BRIDGE: Final = Reason(
    "VP-7002", 501, 79, "failed", "Not for proxied calls",
    "The number is a service, or a trunk's that wants a password, and the calls of the tenant only pass.",
    'Set `tenant.calls = "bridged"`, or keep services, and trunks with `trunk.username`, out of this '
    'tenant.')  # fmt: skip
END_NOT_SEEN: Final = Reason(
    "VP-7001", 200, 16, "answered", "End of the call not seen",
    "The BYE of a proxied call did not pass here; it was closed by its age, or as the daemon ended.",
    "Nothing for a single call. When it is every call, something on the way leaves out our Record-Route.")  # fmt: skip
NO_TARGET: Final = Reason(
    "VP-7003", 480, 20, "failed", "Nowhere to forward to",
    "The request was to be passed on, and there was no target that had not been tried.",
    "Register a phone for the number, or have the program that forwards name another target.")  # fmt: skip
TOO_MANY_TARGETS: Final = Reason(
    "VP-7004", 440, 34, "failed", "Too many targets at once",
    "The request is for more phones at once than its Max-Breadth allows (RFC 5393).",
    "Register fewer phones for the number, or have them ring one after another by different q in their "
    "Contacts.")  # fmt: skip
NO_RESPONSE: Final = Reason(
    "VP-7005", 408, 102, "failed", "No target answered",
    "The request was passed on, and no target answered it in time.",
    "Check that the targets can be reached: `voipat registrations` and `voipat trunks` show them.")  # fmt: skip
FLOW_GONE: Final = Reason(
    "VP-7006", 430, 27, "failed", "Connection of the phone is gone",
    "The request was for the connection that a phone had made, and that one is closed (RFC 5626).",
    "Nothing: the phone connects and registers again. When it does not, restart it.")  # fmt: skip
NEXT_HOP_FAILED: Final = Reason(
    "VP-7007", 500, 38, "failed", "Next hop out of order",
    "The next hop could not be reached, or said 503; that is about the hop, so it is not passed on.",
    "See in `voipat trunks` and in the log which it was, and check its address, load and firewall.")  # fmt: skip
BAD_RESPONSE: Final = Reason(
    "VP-7008", 502, 95, "failed", "Unusable response",
    "The next hop answered without the Via of who asked, so the answer could not be passed on.",
    "Update the software of the next hop: a response has all Via of its request (RFC 3261 §8.2.6.2).")  # fmt: skip
UNROUTABLE: Final = Reason(
    "VP-7009", 400, 28, "failed", "No way to the target",
    "The request was to be passed on to an address that no next hop can be told from.",
    "Dial an address with a host, or a number that fits a `route.pattern`.")  # fmt: skip
BAD_REFER: Final = Reason(
    "VP-6006", 400, 95, "failed", "Unusable transfer",
    "The Refer-To or Replaces of the request, or the body of a NOTIFY about it, cannot be read.",
    "Look at the request in `voipat trace CALL --messages` and update the firmware of the phone that sent "
    "it.")  # fmt: skip
TRANSFERRED: Final = Reason(
    "VP-6007", 200, 16, "answered", "Transferred",
    "The call goes on without this phone, which transferred it or whose place was taken.",
    "Nothing: the transfer is done.")  # fmt: skip
TRANSFER_FAILED: Final = Reason(
    "VP-6008", 480, 31, "failed", "Transfer failed",
    "The phone that was asked to call somebody else says that it did not reach the target.",
    "Call the target from that phone, and see why it is not reached.")  # fmt: skip
UNKNOWN_PACKAGE: Final = Reason(
    "VP-6009", 489, 95, "failed", "Unknown event package",
    "Nobody can be told of these events here.",
    "Switch off in the phone what subscribes to the package; Allow-Events in the response lists those that there "
    "are.")  # fmt: skip
NO_SUCH_SUBSCRIPTION: Final = Reason(
    "VP-6010", 481, 101, "failed", "No such subscription",
    "The NOTIFY or SUBSCRIBE belongs to no subscription that is known here.",
    "Nothing: a phone subscribes anew. When it does not, restart it.")  # fmt: skip
SESSION_TOO_SHORT: Final = Reason(
    "VP-6011", 422, 95, "failed", "Session interval too small",
    "The request wants its session refreshed more often than the server allows; the response names the shortest "
    "interval in Min-SE (RFC 4028).",
    "Nothing: a phone asks again for longer. For one that does not, set its session timer to `server.min_se_s` or "
    "more.")  # fmt: skip
NOTHING_TO_CANCEL: Final = Reason(
    "VP-6027", 481, 101, "failed", "Nothing to cancel",
    "The CANCEL belongs to no request that is known here: it came too late, or differs from its INVITE in branch or "
    "host.",
    "Nothing for a single call. When callers can never cancel, something on the way changes the Via of CANCEL: switch "
    "off SIP ALG in the router.")  # fmt: skip
REQUEST_OUT_OF_ORDER: Final = Reason(
    "VP-6028", 500, 101, "failed", "Request out of order",
    "The CSeq within the call is not above the one before: an older request that came late, or a copy by another "
    "way.",
    "Nothing: the newer request counts.")  # fmt: skip
CHANGE_OVERLAPS: Final = Reason(
    "VP-6029", 500, 101, "failed", "Earlier change unanswered",
    "The phone asked for another change before its last one had its answer.",
    "Nothing: the phone tries again after the seconds of Retry-After.")  # fmt: skip
UNREADABLE_RACK: Final = Reason(
    "VP-6030", 400, 95, "failed", "Unusable RAck",
    "The PRACK has no RAck, or one that cannot be read (RFC 3262).",
    "Update the caller's firmware, or switch 100rel (PRACK) off in it.")  # fmt: skip
NOTHING_TO_PRACK: Final = Reason(
    "VP-6031", 481, 101, "failed", "No progress to acknowledge",
    "The PRACK matches no provisional response that waits for one: it came too late, or was sent twice.",
    "Nothing: the provisional response was acknowledged before.")  # fmt: skip

BAD_SUBSCRIBE: Final = Reason(
    "VP-6023", 400, 95, "failed", "Unusable SUBSCRIBE",
    "The Event or Expires of the SUBSCRIBE cannot be read.",
    "Update the phone's firmware, or switch off in it what subscribes (lamps, message waiting).")  # fmt: skip
TOO_MANY_SUBSCRIPTIONS: Final = Reason(
    "VP-6012", 503, 42, "failed", "Too many subscriptions",
    "The watcher, the watched user or the server has as many subscriptions as it may.",
    "Take lamps that nobody looks at out of the phones that have the most of them.")  # fmt: skip
NOT_YOURS_TO_WATCH: Final = Reason(
    "VP-6024", 403, 21, "failed", "Not yours to watch",
    "Where the phones of a user are registered (event package reg) only that user's own phones may watch.",
    "Nothing: phones work without. `voipat registrations` shows them to the operator.")  # fmt: skip
UNACCEPTABLE_STATE: Final = Reason(
    "VP-6013", 406, 79, "failed", "State not accepted",
    "The SUBSCRIBE has an Accept header without the type that the package's state is sent in.",
    "Have the phone put the type of the package into Accept (lamps: application/dialog-info+xml), or leave the header "
    "out.")  # fmt: skip
MESSAGE_TOO_LARGE: Final = Reason(
    "VP-6014", 413, 95, "failed", "Message too large",
    "A MESSAGE has at most 1300 bytes of body over UDP (RFC 3428) and 32768 over TCP and TLS, what is published "
    "8192.",
    "Send a shorter text, or several; or register the phone over TCP or TLS.")  # fmt: skip
UNKNOWN_MESSAGE_TYPE: Final = Reason(
    "VP-6015", 415, 79, "failed", "Unsupported message type",
    "A MESSAGE is text, HTML, CPIM or a sign of composing; Accept lists the types.",
    "Send plain text: files and pictures are not taken.")  # fmt: skip
MESSAGE_NOT_TAKEN: Final = Reason(
    "VP-6016", 480, 20, "failed", "Message not taken",
    "Phones are registered, but none took the message in time.",
    "Switch text messages on in the recipient's phone, or call. `voipat registrations` shows which phones there "
    "are.")  # fmt: skip
NO_MESSAGE_PARTNER: Final = Reason(
    "VP-6017", 405, 97, "failed", "Nobody to send the message to",
    "The call that the MESSAGE came in has no other side.",
    "Send it to the number of the recipient, outside of the call.")  # fmt: skip
TOO_MANY_MESSAGES: Final = Reason(
    "VP-6018", 503, 42, "failed", "Too many messages",
    "As many messages are under way as the server carries at once, or the disk did not take one in time.",
    "Send it again after the seconds of Retry-After. When it goes on, see in the log what sends so many, and whether "
    "the disk is full.")  # fmt: skip

MESSAGE_UNANSWERED: Final = Reason(
    "VP-6025", 480, 20, "failed", "Message not answered",
    "Phones are registered, but none could take the message now.",
    "Send it again later. `tenant.messages_days` and `tenant.messages_kept` let messages wait for who is "
    "away.")  # fmt: skip
TOO_MANY_MESSAGES_WAIT: Final = Reason(
    "VP-6026", 480, 20, "failed", "Too many messages wait",
    "The recipient is away, and as many messages wait as `tenant.messages_kept` allows.",
    "Switch on a phone of the recipient, delete what is old (`voipat messages list` shows it), or raise "
    "`tenant.messages_kept`.")  # fmt: skip

BAD_PUBLISH: Final = Reason(
    "VP-6019", 400, 95, "failed", "Unusable PUBLISH",
    "The Event, the Expires or the body of the PUBLISH cannot be read, or a first one has no body.",
    "Update the phone's firmware, or switch off in it that it publishes its state.")  # fmt: skip
STALE_PUBLICATION: Final = Reason(
    "VP-6020", 412, 95, "failed", "Unknown publication",
    "SIP-If-Match names a publication that ran out or was replaced.",
    "Nothing: the phone publishes anew.")  # fmt: skip
UNKNOWN_STATE: Final = Reason(
    "VP-6021", 415, 79, "failed", "Unsupported state",
    "What is published has another type than the package's; Accept has that.",
    "Have the phone publish presence as application/pidf+xml, or switch off in it that it publishes its "
    "state.")  # fmt: skip
TOO_MANY_PUBLICATIONS: Final = Reason(
    "VP-6022", 503, 42, "failed", "Too many publications",
    "The user or the server has as many publications as it may.",
    "Switch off publishing in phones of the user that do not need it, or wait: a publication runs out by "
    "itself.")  # fmt: skip

REASONS: Final[Mapping[str, Reason]] = MappingProxyType(
    {value.id: value for value in list(globals().values()) if isinstance(value, Reason)}
)
