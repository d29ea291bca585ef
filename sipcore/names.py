"""Words of SIP that are the same in every server: header names (RFC 3261 §7.3.3, §20) and reason phrases (§21).

Pure data. The tokenizer builds its lookup tables from these when it is imported.
"""

from __future__ import annotations

from typing import Final

COMPACT: Final = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition", "e": "Content-Encoding",
    "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact",
    "n": "Identity-Info", "o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via",
    "x": "Session-Expires", "y": "Identity",
}  # fmt: skip

KNOWN: Final = (
    *COMPACT.values(),
    "Accept", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Authentication-Info", "Authorization",
    "Call-Info", "Content-Disposition", "Content-Language", "CSeq", "Date", "Diversion", "Error-Info", "Expires",
    "History-Info", "In-Reply-To", "Join", "Max-Forwards", "MIME-Version", "Min-Expires", "Min-SE", "Organization",
    "P-Asserted-Identity", "P-Preferred-Identity", "Path", "Priority", "Privacy", "Proxy-Authenticate",
    "Proxy-Authorization", "Proxy-Require", "RAck", "Reason", "Record-Route", "Remote-Party-ID", "Replaces",
    "Reply-To", "Require", "Retry-After", "Route", "RSeq", "Server", "Service-Route", "SIP-ETag", "SIP-If-Match",
    "Subscription-State", "Timestamp", "Unsupported", "User-Agent", "Warning", "WWW-Authenticate",
)  # fmt: skip

# Headers whose comma separates values; in others (Date, Subject, WWW-Authenticate, Authorization …) it is text.
LISTS: Final = frozenset(
    ("Accept", "Accept-Contact", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Allow-Events",
     "Call-Info", "Contact", "Content-Encoding", "Content-Language", "Diversion", "Error-Info", "History-Info",
     "In-Reply-To", "P-Asserted-Identity", "P-Preferred-Identity", "Path", "Proxy-Require", "Reason", "Record-Route",
     "Reject-Contact", "Remote-Party-ID", "Request-Disposition", "Require", "Route", "Service-Route", "Supported",
     "Unsupported", "Via", "Warning")
)  # fmt: skip

# RFC 3261 §7.3.1: headers that have one value; a second one makes the message ambiguous, so it is refused.
SINGLE: Final = frozenset(
    ("Call-ID", "Content-Length", "Content-Type", "CSeq", "Event", "Expires", "From", "Max-Forwards", "Min-Expires",
     "Refer-To", "Replaces", "RSeq", "Session-Expires", "To")
)  # fmt: skip

# RFC 3261, 3262, 3265, 3311, 3428, 3515, 3903, 6086: what is not among them is not implemented anywhere (501), what is
# may be not allowed here (405).
METHODS: Final = frozenset(
    ("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER",
     "SUBSCRIBE", "UPDATE")
)  # fmt: skip

# Parameter names that nearly every message has.
PARAMETERS: Final = (
    "tag", "branch", "rport", "received", "transport", "lr", "user", "expires", "q", "ob", "maddr", "ttl", "method",
    "+sip.instance", "reg-id", "alias", "cause", "text",
)  # fmt: skip

REASONS: Final = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    199: "Early Dialog Terminated", 200: "OK", 202: "Accepted", 204: "No Notification", 300: "Multiple Choices",
    301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service",
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
    410: "Gone", 412: "Conditional Request Failed", 413: "Request Entity Too Large", 414: "Request-URI Too Long",
    415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required",
    422: "Session Interval Too Small", 423: "Interval Too Brief", 428: "Use Identity Header",
    429: "Provide Referrer Identity", 430: "Flow Failed", 433: "Anonymity Disallowed", 436: "Bad Identity Info",
    437: "Unsupported Certificate", 438: "Invalid Identity Header", 439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded", 469: "Bad Info Package", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete",
    485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event",
    491: "Request Pending", 493: "Undecipherable", 494: "Security Agreement Required", 500: "Server Internal Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out",
    505: "Version Not Supported", 513: "Message Too Large", 555: "Push Notification Service Not Supported",
    580: "Precondition Failure", 600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere",
    606: "Not Acceptable", 607: "Unwanted", 608: "Rejected",
}  # fmt: skip
