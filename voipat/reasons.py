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
    """One cause: the SIP status for it, its Q.850 cause, the disposition in the CDR, and what to tell a person."""

    id: str
    status: int
    q850: int
    disposition: Disposition
    text: str
    explanation: str

    def warning(self, host: str) -> tuple[str, str]:
        """The header of a response (RFC 3261 §20.43)."""
        return "Warning", f'399 {host} "{self.id} {self.text}"'

    def header(self) -> tuple[str, str]:
        """The header of a BYE or CANCEL (RFC 3326)."""
        return "Reason", f'Q.850;cause={self.q850};text="{self.id} {self.text}"'


AUTHENTICATION_REQUIRED: Final = Reason(
    "VP-1001", 401, 21, "failed", "Authentication required",
    "The request had no valid credentials. An unknown user and a wrong password look the same on purpose; "
    "the log says which it was.")  # fmt: skip
WRONG_CREDENTIALS: Final = Reason(
    "VP-1002", 401, 21, "failed", "Wrong password",
    "Only in the log: the user exists, the password was wrong.")  # fmt: skip
UNKNOWN_USER: Final = Reason(
    "VP-1003", 401, 21, "failed", "Unknown user",
    "Only in the log: the tenant has no such user, or the user may not use that digest algorithm.")  # fmt: skip
FOREIGN_IDENTITY: Final = Reason(
    "VP-1004", 403, 21, "failed", "Identity is not yours",
    "The credentials are good, but From (in REGISTER: To) names somebody else. Use the same user in both.")  # fmt: skip
DOMAIN_NOT_SERVED: Final = Reason(
    "VP-1005", 403, 21, "failed", "Not served here",
    "No tenant has the domain of the request. Set the phone's domain to that of its tenant, "
    "or set server.default_tenant for phones that use the server's address.")  # fmt: skip
STRANGERS_NOT_SERVED: Final = Reason(
    "VP-1006", 403, 21, "failed", "Not served here",
    "A request from a domain that is not ours, and nothing here takes calls from strangers.")  # fmt: skip
METHOD_NOT_ALLOWED: Final = Reason(
    "VP-1007", 405, 79, "failed", "Method not allowed",
    "This server does not take the method; Allow lists those it takes.")  # fmt: skip
TOO_MANY_REQUESTS: Final = Reason(
    "VP-1008", 503, 42, "failed", "Too many requests",
    "The source sends more unauthenticated requests than the guard allows. See server.guard.")  # fmt: skip
SOURCE_BANNED: Final = Reason(
    "VP-1009", 403, 21, "failed", "Source banned",
    "Only in the log: too many wrong passwords came from the source; it gets no answer for a while.")  # fmt: skip
METHOD_UNKNOWN: Final = Reason(
    "VP-1010", 501, 97, "failed", "Method not implemented",
    "This server knows no such method; Allow lists those it takes.")  # fmt: skip
UNKNOWN_SCHEME: Final = Reason(
    "VP-1011", 416, 88, "failed", "Unsupported URI scheme",
    "The request is for a URI that is neither sip, sips nor tel.")  # fmt: skip
UNKNOWN_EXTENSION: Final = Reason(
    "VP-1012", 420, 29, "failed", "Extension not supported",
    "The request needs an extension (Require, Proxy-Require) that is not there; Unsupported lists it.")  # fmt: skip
UNREADABLE: Final = Reason(
    "VP-1013", 400, 95, "failed", "Unreadable request",
    "The request breaks the grammar of SIP or a limit; the text of the status line says where. The status may "
    "also be 414, 501, 505 or 513.")  # fmt: skip

DRAINING: Final = Reason(
    "VP-2001", 503, 42, "failed", "Server is shutting down",
    "The daemon drains: calls under way finish, new ones are refused.")  # fmt: skip
SERVER_FULL: Final = Reason(
    "VP-2002", 503, 42, "failed", "Server is full",
    "As many calls are up as ports and descriptors allow; the limit is printed at the start.")  # fmt: skip
CALLER_LIMIT: Final = Reason(
    "VP-2003", 503, 34, "failed", "Call limit of the caller reached",
    "The calling extension has max_calls calls up.")  # fmt: skip
CALLEE_LIMIT: Final = Reason(
    "VP-2004", 486, 17, "busy", "Call limit of the callee reached",
    "The called extension has max_calls calls up.")  # fmt: skip
NO_MEDIA_PORT: Final = Reason(
    "VP-2005", 503, 34, "failed", "No media port left",
    "Every port of server.media is in use or resting; widen the range.")  # fmt: skip
INTERNAL_ERROR: Final = Reason(
    "VP-2006", 500, 41, "failed", "Internal error",
    "The program that handles the call failed; the log has the traceback under the call's id.")  # fmt: skip
OVERLOADED: Final = Reason(
    "VP-2007", 503, 42, "failed", "Server is overloaded",
    "More came than could be served in time; what is new is refused first, calls under way go on. "
    "`voipat stats` has overload_shed, overload_late_s, engine_tick_p99_ms and what was refused.")  # fmt: skip
CONFERENCE_FULL: Final = Reason(
    "VP-2008", 486, 17, "busy", "Conference is full",
    "The conference has as many members as it may.")  # fmt: skip
CONFERENCE_LOCKED: Final = Reason(
    "VP-2009", 403, 21, "failed", "Conference is locked",
    "Somebody has locked the conference; those who are in it stay.")  # fmt: skip
FOREIGN_CONFERENCE: Final = Reason(
    "VP-2010", 403, 21, "failed", "Not your conference",
    "The conference belongs to another tenant than the caller.")  # fmt: skip
TOO_MANY_TRANSACTIONS: Final = Reason(
    "VP-2011", 503, 42, "failed", "Too many transactions",
    "As many requests are under way as the server keeps; what is new has to wait until some are over.")  # fmt: skip

UNKNOWN_NUMBER: Final = Reason(
    "VP-3001", 404, 1, "failed", "Unknown number",
    "The tenant has no such extension or code.")  # fmt: skip
NOT_REGISTERED: Final = Reason(
    "VP-3002", 480, 20, "failed", "Not registered",
    "The extension exists, but no phone is registered for it now.")  # fmt: skip
NO_ANSWER: Final = Reason(
    "VP-3003", 480, 19, "no_answer", "No answer",
    "The phones rang until the time was over and nobody picked up.")  # fmt: skip
BUSY: Final = Reason(
    "VP-3004", 486, 17, "busy", "Busy",
    "The callee's phone said busy.")  # fmt: skip
DECLINED: Final = Reason(
    "VP-3005", 603, 21, "failed", "Declined",
    "The callee refused the call.")  # fmt: skip
UNREACHABLE: Final = Reason(
    "VP-3006", 480, 27, "failed", "Phone unreachable",
    "The phone is registered, but did not react at all, or its connection failed.")  # fmt: skip
CALLEE_REFUSED: Final = Reason(
    "VP-3007", 480, 31, "failed", "Refused by the phone",
    "The callee's phone refused the call with a status that is not passed on.")  # fmt: skip
NO_COMMON_CODEC: Final = Reason(
    "VP-3008", 488, 88, "failed", "No common codec",
    "Caller and callee, or caller and server, have no audio codec in common.")  # fmt: skip
CALLEE_CHALLENGED: Final = Reason(
    "VP-3009", 480, 21, "failed", "Phone wants credentials",
    "The callee's phone asked us for a password. A phone never gets one from us.")  # fmt: skip
REDIRECTED: Final = Reason(
    "VP-3010", 480, 23, "failed", "Redirect not followed",
    "The callee's phone or trunk redirected the call (3xx) to an address that it may not send calls to, or too often. "
    "A phone may to users of its own tenant; of a trunk, `redirects` decides.")  # fmt: skip
SENT_ELSEWHERE: Final = Reason(
    "VP-3030", 302, 23, "failed", "Sent elsewhere",
    "The caller was told to call another address by itself: by a program, or by a trunk whose `redirects` is `pass`."
    )  # fmt: skip
NOT_TAKEN: Final = Reason(
    "VP-3011", 480, 31, "failed", "Not taken",
    "The program that handles the number ended without answering.")  # fmt: skip
BAD_TARGET: Final = Reason(
    "VP-3012", 404, 28, "failed", "Unusable target",
    "The number or address to call is no SIP address that this server can reach.")  # fmt: skip
TOO_MANY_HOPS: Final = Reason(
    "VP-3013", 483, 25, "failed", "Too many hops",
    "The call passed too many servers; most likely it goes in a circle.")  # fmt: skip
BAD_DESCRIPTION: Final = Reason(
    "VP-3014", 488, 88, "failed", "Unusable session description",
    "The session description cannot be read, or breaks a limit.")  # fmt: skip
UNKNOWN_BODY: Final = Reason(
    "VP-3015", 415, 79, "failed", "Unsupported body",
    "The INVITE has a body that is no session description.")  # fmt: skip
UNACCEPTABLE_ANSWER: Final = Reason(
    "VP-3016", 406, 79, "failed", "Session description not accepted",
    "The INVITE has an Accept header without application/sdp, so no answer could be sent.")  # fmt: skip
NO_REACHABLE_PHONE: Final = Reason(
    "VP-3017", 480, 27, "failed", "No phone reachable",
    "Phones are registered, but none answers the keep-alive any more; `voipat registrations` says which. "
    "The call was refused at once instead of waiting for them.")  # fmt: skip
NO_SECURE_PHONE: Final = Reason(
    "VP-3018", 480, 20, "failed", "No phone over TLS",
    "The call is to a sips address, and no phone of the extension is registered over TLS.")  # fmt: skip

MEDIA_NOT_SECURE: Final = Reason(
    "VP-3019", 488, 88, "failed", "Media not secure enough",
    "Encrypted media is required here, was there before, or cannot be agreed on: the keys are missing, cannot be used, "
    "or would go over signalling that anyone can read (see `srtp` and `sdes_over_plain`).")  # fmt: skip
MERGED: Final = Reason(
    "VP-3020", 482, 25, "failed", "Request came twice",
    "A proxy on the way has forked the request and both copies came here (RFC 3261 §8.2.2.2); the first one is "
    "served.")  # fmt: skip

TRUNK_UNAVAILABLE: Final = Reason(
    "VP-3201", 503, 38, "failed", "Trunk unavailable",
    "The trunk answered with a server error, or could not be reached; the next trunk was tried.")  # fmt: skip
NO_TRUNK: Final = Reason(
    "VP-3202", 503, 34, "failed", "No trunk available",
    "Every trunk for the number is out of service or full; `voipat trunks` says which and why.")  # fmt: skip
TRUNK_SILENT: Final = Reason(
    "VP-3203", 503, 38, "failed", "Trunk silent",
    "The trunk did not react to the call at all; the next trunk was tried.")  # fmt: skip
UNALLOCATED: Final = Reason(
    "VP-3204", 404, 1, "failed", "Unallocated number",
    "The carrier knows no such number, or no route leads to it.")  # fmt: skip
INVALID_NUMBER: Final = Reason(
    "VP-3205", 484, 28, "failed", "Invalid number",
    "The number is too short, too long, or has characters that no number has.")  # fmt: skip
CALLER_ID_REFUSED: Final = Reason(
    "VP-3206", 403, 21, "failed", "Caller number not allowed",
    "The trunk takes only the numbers of caller_ids, and caller_id_policy is to refuse others.")  # fmt: skip
TRUNK_LIMIT: Final = Reason(
    "VP-3207", 503, 34, "failed", "Call limit of the trunk reached",
    "The trunk has max_calls calls up, or cps new calls in this second.")  # fmt: skip
TRUNK_CREDENTIALS: Final = Reason(
    "VP-3208", 503, 21, "failed", "Trunk wants other credentials",
    "The trunk refused our credentials, or asked for a realm that is not the configured one: it got none.")  # fmt: skip
CALL_LOOP: Final = Reason(
    "VP-3209", 482, 25, "failed", "Call goes in a circle",
    "The call was forwarded more often than allowed, or came back to the proxy as it had left it.")  # fmt: skip

TENANT_LIMIT: Final = Reason(
    "VP-3210", 503, 34, "failed", "Call limit of the tenant reached",
    "The tenant has as many calls up as it may.")  # fmt: skip

DO_NOT_DISTURB: Final = Reason(
    "VP-3301", 486, 17, "busy", "Do not disturb",
    "The called extension has set do-not-disturb, by a code, the command line or its configuration.")  # fmt: skip
BUSY_LEVEL: Final = Reason(
    "VP-3302", 486, 17, "busy", "Busy on another call",
    "The called extension has as many calls up as its busy_level.")  # fmt: skip
CLASS_OF_SERVICE: Final = Reason(
    "VP-3303", 403, 57, "failed", "Not allowed to call there",
    "The class of service of the extension, or of the one that forwards, or the tenant's limits do not allow the "
    "number; `voipat route` says which rule. Other countries need limits.international.")  # fmt: skip
CALLER_BLOCKED: Final = Reason(
    "VP-3304", 603, 21, "failed", "Caller blocked",
    "The caller's number is on the block list, or is one of the tenant's own and came from outside.")  # fmt: skip
ANONYMOUS_REFUSED: Final = Reason(
    "VP-3305", 433, 21, "failed", "Anonymous calls are refused",
    "The caller hides its number, and screening.anonymous is reject (RFC 5079).")  # fmt: skip
OUTSIDE_LIMIT: Final = Reason(
    "VP-3306", 403, 57, "failed", "Limit of outside calls reached",
    "The extension or its tenant has as many outside calls up, in this minute or today, as its limits allow. Emergency "
    "calls are never counted.")  # fmt: skip
TENANT_RATE: Final = Reason(
    "VP-3307", 503, 42, "failed", "Too many calls of the tenant",
    "The tenant starts more calls in a second than limits.calls_per_second; others are not touched.")  # fmt: skip
SERVICE_MISSING: Final = Reason(
    "VP-3308", 501, 79, "failed", "Service not installed",
    "The number is that of a service which this server does not run.")  # fmt: skip
WRONG_FEATURE_USE: Final = Reason(
    "VP-3309", 484, 28, "failed", "Incomplete feature code",
    "The feature code needs a number after it that this extension may call, such as *72 and the target.")  # fmt: skip
TURNED_AWAY: Final = Reason(
    "VP-3310", 480, 31, "failed", "Ended by the dial plan",
    "The dial plan hangs up here: a menu's, group's or number's target is hangup.")  # fmt: skip
PARK_FULL: Final = Reason(
    "VP-3321", 486, 17, "busy", "All parking places are taken",
    "Every slot of the park has a call, as many as it has; the call stays with who wanted to park it.")  # fmt: skip
NOTHING_PARKED: Final = Reason(
    "VP-3322", 404, 1, "failed", "No call is parked there",
    "The slot is empty: the call was taken by somebody else, has ended, or went back to who parked it.")  # fmt: skip
PAGE_REFUSED: Final = Reason(
    "VP-3325", 403, 57, "failed", "May not page",
    "The page lists who may use it in `callers`, and this caller is none of them; outside nobody may.")  # fmt: skip
NOBODY_PAGED: Final = Reason(
    "VP-3326", 480, 19, "no_answer", "No phone answered the page",
    "Every phone of the page is in a call, wants none, is not registered, or does not answer by itself: its settings "
    "must allow that (intercom, auto answer).")  # fmt: skip
INTERCOM_REFUSED: Final = Reason(
    "VP-3327", 403, 57, "failed", "Takes no intercom calls",
    "The extension has no `intercom = true`: its phone must not be made to answer by itself.")  # fmt: skip
MONITOR_REFUSED: Final = Reason(
    "VP-3328", 403, 57, "failed", "May not listen to that call",
    "The caller's extension needs `monitor`, the other's `monitored = true`; the attempt is audited.")  # fmt: skip
NOBODY_TALKS: Final = Reason(
    "VP-3329", 480, 31, "failed", "Nobody talks there",
    "The extension is in no conversation that could be heard.")  # fmt: skip
NO_DESK: Final = Reason(
    "VP-3330", 403, 57, "failed", "Not a shared desk",
    "Whoever logs in or out does so at the phone of an extension with `desk = true`; this one is none.")  # fmt: skip
NOBODY_LOGGED_IN: Final = Reason(
    "VP-3331", 480, 31, "failed", "Nobody is logged in here",
    "The desk is nobody's: there is no one to log out.")  # fmt: skip
NOTHING_TO_PICK_UP: Final = Reason(
    "VP-3323", 404, 1, "failed", "No call rings there",
    "No phone of the pickup group, or of the extension, rings now.")  # fmt: skip
PICKUP_REFUSED: Final = Reason(
    "VP-3324", 403, 57, "failed", "Not of your pickup group",
    "Only extensions of the same pickup_group take each other's calls.")  # fmt: skip

NO_MAILBOX: Final = Reason(
    "VP-3311", 480, 20, "failed", "No such mailbox",
    "The plan leads to the mailbox of an extension that has none, or whose mailbox is switched off.")  # fmt: skip
TOO_MANY_PINS: Final = Reason(
    "VP-3312", 403, 21, "failed", "Wrong PIN too often",
    "The caller gave a wrong PIN again and again; after five in a row the mailbox is locked for a while.")  # fmt: skip

NORMAL_CLEARING: Final = Reason(
    "VP-4001", 200, 16, "answered", "Normal call clearing",
    "Somebody hung up.")  # fmt: skip
NETWORK_CLEARED: Final = Reason(
    "VP-4035", 200, 127, "answered", "Cleared by the network",
    "The BYE of the other side gave a cause (Reason, Q.850) that is no hang-up; the CDR has its number.")  # fmt: skip
COMPLETED_ELSEWHERE: Final = Reason(
    "VP-4002", 200, 26, "cancelled", "Call completed elsewhere",
    "Another phone of the same extension answered.")  # fmt: skip
CALLER_GAVE_UP: Final = Reason(
    "VP-4003", 487, 16, "cancelled", "Caller gave up",
    "The caller hung up before the answer.")  # fmt: skip
MEDIA_TIMEOUT: Final = Reason(
    "VP-4004", 408, 41, "failed", "No media received",
    "No RTP came for the time of the media timeout: the phone or its network is gone.")  # fmt: skip
NO_ACK: Final = Reason(
    "VP-4005", 408, 102, "failed", "No ACK received",
    "The caller never acknowledged the answer; often a wrong Contact or a NAT in between.")  # fmt: skip
OPERATOR: Final = Reason(
    "VP-4006", 480, 16, "failed", "Ended by the operator",
    "An operator hung up.")  # fmt: skip
SHUTDOWN: Final = Reason(
    "VP-4007", 503, 41, "failed", "Server shut down",
    "The time to finish was over when the daemon ended.")  # fmt: skip
NO_SDP_ANSWER: Final = Reason(
    "VP-4008", 488, 95, "failed", "No answer to our offer",
    "We offered the media in our 200 and the ACK brought no usable answer.")  # fmt: skip
DIALOG_LOST: Final = Reason(
    "VP-4009", 481, 102, "failed", "Peer lost the call",
    "The peer did not know the call any more, or did not react within it.")  # fmt: skip
ALL_REFUSED: Final = Reason(
    "VP-4010", 200, 31, "cancelled", "Another phone refused for all",
    "One phone of the extension refused with a 6xx, which stops the others too.")  # fmt: skip
NO_PRACK: Final = Reason(
    "VP-4011", 504, 102, "failed", "Caller never acknowledged our progress",
    "No PRACK came for a reliable provisional response within 32 seconds (RFC 3262).")  # fmt: skip
SESSION_EXPIRED: Final = Reason(
    "VP-4012", 408, 102, "failed", "Session not refreshed",
    "The session timer (RFC 4028) ran out: the peer did not refresh the call, or did not answer our refresh. "
    "The phone is gone, or something on the way lost the dialog.")  # fmt: skip
HANDSHAKE_FAILED: Final = Reason(
    "VP-4013", 488, 95, "failed", "No secure media",
    "The DTLS handshake did not end in 5 seconds, or the certificate was not the one that the SDP named.")  # fmt: skip
REMOVED_FROM_CONFERENCE: Final = Reason(
    "VP-4014", 200, 16, "answered", "Removed from the conference",
    "Somebody who may do so has put the call out of its conference.")  # fmt: skip
HUNG_UP_MEANWHILE: Final = Reason(
    "VP-4015", 487, 16, "cancelled", "Hung up meanwhile",
    "The call was ended by BYE while this INVITE of it was not answered yet.")  # fmt: skip

CONTACT_STAR: Final = Reason(
    "VP-5001", 400, 95, "failed", "Contact * needs Expires 0",
    "Contact: * stands alone and only with Expires: 0 (RFC 3261 §10.2.2).")  # fmt: skip
TOO_BRIEF: Final = Reason(
    "VP-5002", 423, 41, "failed", "Interval too brief",
    "The registration asks for less time than Min-Expires says.")  # fmt: skip
OUT_OF_ORDER: Final = Reason(
    "VP-5003", 500, 41, "failed", "REGISTER out of order",
    "A REGISTER with the same Call-ID and a higher CSeq was here before; nothing was changed.")  # fmt: skip
TOO_MANY_CONTACTS: Final = Reason(
    "VP-5004", 403, 42, "failed", "Too many contacts",
    "The address of record has as many contacts as it may.")  # fmt: skip
BAD_CONTACT: Final = Reason(
    "VP-5005", 400, 95, "failed", "Unusable Contact",
    "A Contact is no SIP URI, longer than allowed, or a sips URI registered without TLS.")  # fmt: skip
BAD_ADDRESS_OF_RECORD: Final = Reason(
    "VP-5006", 400, 95, "failed", "To is no SIP address",
    "A phone registers a sip or sips URI.")  # fmt: skip

CONTACT_IS_AOR: Final = Reason(
    "VP-5050", 403, 25, "failed", "Contact is the address of record",
    "A phone that asks for a GRUU registered its own public address as Contact: calls would come back to us for ever. "
    "Give the phone a Contact of its own host.")  # fmt: skip
NO_OUTBOUND: Final = Reason(
    "VP-5010", 439, 41, "failed", "First hop lacks outbound support",
    "The phone wants several flows (RFC 5626), and the proxy in between keeps none: its Path has no ob.")  # fmt: skip

NO_TRANSFER: Final = Reason(
    "VP-6001", 603, 29, "failed", "Transfer not allowed",
    "A REFER is taken from phones of ours, in a call with somebody, for a target of their own tenant.")  # fmt: skip
NOTHING_TO_TAKE_OVER: Final = Reason(
    "VP-6032", 603, 101, "failed", "No such call to take over",
    "The Replaces of the REFER names no call of the tenant that is up: it has ended meanwhile. The call of the REFER "
    "itself goes on; 481 would have ended it (RFC 5057).")  # fmt: skip
CHANGE_REFUSED: Final = Reason(
    "VP-6002", 488, 88, "failed", "Change of the session refused",
    "The other side refused the change; the session stays as it was.")  # fmt: skip
CHANGE_PENDING: Final = Reason(
    "VP-6003", 491, 41, "failed", "Another change is under way",
    "Both sides changed the session at the same time; the phone tries again by itself.")  # fmt: skip
BAD_INFO: Final = Reason(
    "VP-6004", 469, 79, "failed", "Info package not supported",
    "The INFO belongs to a package that was not agreed on (RFC 6086).")  # fmt: skip
INFO_DIGITS_REFUSED: Final = Reason(
    "VP-6033", 415, 79, "failed", "Digits by INFO not accepted",
    "The INFO brings digits (application/dtmf-relay or application/dtmf), and dtmf_info = false: digits are taken from "
    "the media only. The call goes on without them.")  # fmt: skip
NO_SUCH_CALL: Final = Reason(
    "VP-6005", 481, 101, "failed", "No such call",
    "The call ended before the request came, or was never known here.")  # fmt: skip

NEEDS_BRIDGE: Final = Reason(
    "VP-7002", 501, 79, "failed", "Not for proxied calls",
    "The number is a service, or a trunk's that wants a password, and the calls of the tenant only pass.")  # fmt: skip
END_NOT_SEEN: Final = Reason(
    "VP-7001", 200, 16, "answered", "End of the call not seen",
    "The BYE of a proxied call did not pass here; it was closed by its age, or as the daemon ended.")  # fmt: skip
NO_TARGET: Final = Reason(
    "VP-7003", 480, 20, "failed", "Nowhere to forward to",
    "The request was to be passed on, and there was no target that had not been tried.")  # fmt: skip
TOO_MANY_TARGETS: Final = Reason(
    "VP-7004", 440, 34, "failed", "Too many targets at once",
    "The request is for more phones at once than its Max-Breadth allows (RFC 5393).")  # fmt: skip
NO_RESPONSE: Final = Reason(
    "VP-7005", 408, 102, "failed", "No target answered",
    "The request was passed on, and no target answered it in time.")  # fmt: skip
FLOW_GONE: Final = Reason(
    "VP-7006", 430, 27, "failed", "Connection of the phone is gone",
    "The request was for the connection that a phone had made, and that one is closed (RFC 5626).")  # fmt: skip
NEXT_HOP_FAILED: Final = Reason(
    "VP-7007", 500, 38, "failed", "Next hop out of order",
    "The next hop could not be reached, or said 503; that is about the hop, so it is not passed on.")  # fmt: skip
BAD_RESPONSE: Final = Reason(
    "VP-7008", 502, 95, "failed", "Unusable response",
    "The next hop answered without the Via of who asked, so the answer could not be passed on.")  # fmt: skip
UNROUTABLE: Final = Reason(
    "VP-7009", 400, 28, "failed", "No way to the target",
    "The request was to be passed on to an address that no next hop can be told from.")  # fmt: skip
BAD_REFER: Final = Reason(
    "VP-6006", 400, 95, "failed", "Unusable transfer",
    "The Refer-To or Replaces of the request, or the body of a NOTIFY about it, cannot be read.")  # fmt: skip
TRANSFERRED: Final = Reason(
    "VP-6007", 200, 16, "answered", "Transferred",
    "The call goes on without this phone, which transferred it or whose place was taken.")  # fmt: skip
TRANSFER_FAILED: Final = Reason(
    "VP-6008", 480, 31, "failed", "Transfer failed",
    "The phone that was asked to call somebody else says that it did not reach the target.")  # fmt: skip
UNKNOWN_PACKAGE: Final = Reason(
    "VP-6009", 489, 95, "failed", "Unknown event package",
    "Nobody can be told of these events here; Allow-Events lists those that there are.")  # fmt: skip
NO_SUCH_SUBSCRIPTION: Final = Reason(
    "VP-6010", 481, 101, "failed", "No such subscription",
    "The NOTIFY or SUBSCRIBE belongs to no subscription that is known here.")  # fmt: skip
SESSION_TOO_SHORT: Final = Reason(
    "VP-6011", 422, 95, "failed", "Session interval too small",
    "The request wants its session refreshed more often than the server allows; the response names the shortest "
    "interval in Min-SE (RFC 4028). See server.min_se_s.")  # fmt: skip
NOTHING_TO_CANCEL: Final = Reason(
    "VP-6027", 481, 101, "failed", "Nothing to cancel",
    "The CANCEL belongs to no request that is known here: it came too late, or differs from its INVITE in branch "
    "or host.")  # fmt: skip
REQUEST_OUT_OF_ORDER: Final = Reason(
    "VP-6028", 500, 101, "failed", "Request out of order",
    "The CSeq within the call is not above the one before: an older request that came late, or a copy by another "
    "way.")  # fmt: skip
CHANGE_OVERLAPS: Final = Reason(
    "VP-6029", 500, 101, "failed", "Earlier change unanswered",
    "The phone asked for another change before its last one had its answer; Retry-After says when it may try "
    "again.")  # fmt: skip
UNREADABLE_RACK: Final = Reason(
    "VP-6030", 400, 95, "failed", "Unusable RAck",
    "The PRACK has no RAck, or one that cannot be read (RFC 3262).")  # fmt: skip
NOTHING_TO_PRACK: Final = Reason(
    "VP-6031", 481, 101, "failed", "No progress to acknowledge",
    "The PRACK matches no provisional response that waits for one: it came too late, or was sent twice.")  # fmt: skip

BAD_SUBSCRIBE: Final = Reason(
    "VP-6023", 400, 95, "failed", "Unusable SUBSCRIBE",
    "The Event or Expires of the SUBSCRIBE cannot be read.")  # fmt: skip
TOO_MANY_SUBSCRIPTIONS: Final = Reason(
    "VP-6012", 503, 42, "failed", "Too many subscriptions",
    "The watcher, the watched user or the server has as many subscriptions as it may.")  # fmt: skip
NOT_YOURS_TO_WATCH: Final = Reason(
    "VP-6024", 403, 21, "failed", "Not yours to watch",
    "Where the phones of a user are registered (event package reg) only that user's own phones may watch.")  # fmt: skip
UNACCEPTABLE_STATE: Final = Reason(
    "VP-6013", 406, 79, "failed", "State not accepted",
    "The SUBSCRIBE has an Accept header without the type that the package's state is sent in.")  # fmt: skip
MESSAGE_TOO_LARGE: Final = Reason(
    "VP-6014", 413, 95, "failed", "Message too large",
    "A MESSAGE has at most 1300 bytes of body (RFC 3428), what is published 8192.")  # fmt: skip
UNKNOWN_MESSAGE_TYPE: Final = Reason(
    "VP-6015", 415, 79, "failed", "Unsupported message type",
    "A MESSAGE is text, HTML, CPIM or a sign of composing; Accept lists the types.")  # fmt: skip
MESSAGE_NOT_TAKEN: Final = Reason(
    "VP-6016", 480, 20, "failed", "Message not taken",
    "Phones are registered, but none took the message in time.")  # fmt: skip
NO_MESSAGE_PARTNER: Final = Reason(
    "VP-6017", 405, 97, "failed", "Nobody to send the message to",
    "The call that the MESSAGE came in has no other side.")  # fmt: skip
TOO_MANY_MESSAGES: Final = Reason(
    "VP-6018", 503, 42, "failed", "Too many messages",
    "As many messages are under way as the server carries at once.")  # fmt: skip

MESSAGE_UNANSWERED: Final = Reason(
    "VP-6025", 480, 20, "failed", "Message not answered",
    "Phones are registered, but none could take the message now; it may be tried again.")  # fmt: skip
TOO_MANY_MESSAGES_WAIT: Final = Reason(
    "VP-6026", 480, 20, "failed", "Too many messages wait",
    "The recipient is away, and as many messages wait for him as the tenant's messages_kept allows.")  # fmt: skip

BAD_PUBLISH: Final = Reason(
    "VP-6019", 400, 95, "failed", "Unusable PUBLISH",
    "The Event, the Expires or the body of the PUBLISH cannot be read, or a first one has no body.")  # fmt: skip
STALE_PUBLICATION: Final = Reason(
    "VP-6020", 412, 95, "failed", "Unknown publication",
    "SIP-If-Match names a publication that ran out or was replaced; the phone publishes anew.")  # fmt: skip
UNKNOWN_STATE: Final = Reason(
    "VP-6021", 415, 79, "failed", "Unsupported state",
    "What is published has another type than the package's; Accept has that.")  # fmt: skip
TOO_MANY_PUBLICATIONS: Final = Reason(
    "VP-6022", 503, 42, "failed", "Too many publications",
    "The user or the server has as many publications as it may.")  # fmt: skip

REASONS: Final[Mapping[str, Reason]] = MappingProxyType(
    {value.id: value for value in list(globals().values()) if isinstance(value, Reason)}
)
