"""Headers that make a phone answer by itself: each brand reads its own, none minds the others'.

RFC 5373 (Answer-Mode) is what a standard has; nearly all desk phones take `answer-after` of Call-Info or the text
`alert-autoanswer` of Alert-Info. Whether it may is for the phone's own settings to say: who refuses rings.
"""

from __future__ import annotations

from typing import Final

from voipat.devices import device_of

_ALERT: Final = ";info=alert-autoanswer"
# What the brand's Alert-Info wants; "" where it reads Call-Info alone and rings differently for any Alert-Info.
_ALERTS: Final = {"Snom": f"{_ALERT};delay=0", "Cisco": "", "Mitel": ""}


def auto_answer_headers(domain: str, user_agent: str) -> tuple[tuple[str, str], ...]:
    """The headers of an INVITE to the phone with this User-Agent; `domain` is that of its tenant."""
    alert = _ALERTS.get(device_of(user_agent).vendor, _ALERT)
    headers = ("Call-Info", f"<sip:{domain}>;answer-after=0"), ("Answer-Mode", "Auto")
    return (*headers, ("Alert-Info", f"<sip:{domain}>{alert}")) if alert else headers
