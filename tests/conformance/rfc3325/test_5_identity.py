"""RFC 3325 (and RFC 3323, RFC 5806): who a call says it is from, on each side of the edge of trust."""

from __future__ import annotations

import pytest

from sipcore.message import Request
from sipcore.parser import parse_message
from tests.sim.trunk_office import TrunkOffice, trunk

pytestmark = pytest.mark.usefixtures("nothing_left")

ALLOWED = {"caller_ids": ("+12025550100", "100*"), "caller_id": "+12025550100"}


def received(office: TrunkOffice, name: str) -> Request:
    """The first INVITE that a node got."""
    for rung in office.world.network.ladder:
        if rung.kind == "INVITE" and office.world.network.name_of(rung.destination) == name:
            message = parse_message(rung.data)
            assert isinstance(message, Request)
            return message
    raise AssertionError(f"no INVITE to {name}")


def sent_out(seed: int, *headers: tuple[str, str], **keys: object) -> Request:
    """What the trunk gets of a call of extension 1001 with these headers."""
    with TrunkOffice([trunk("carrier", **keys)], seed=seed) as office:
        office.carriers["carrier"].answers(after=0.2)
        office.phone(1001).register().dial("9123456", headers=headers).hangs_up(after=0.5)
        office.world.run()
        return received(office, "carrier")


def party_id(invite: Request) -> str | None:
    return invite.headers.get("Remote-Party-ID")


def test_a_trunk_of_remote_party_id_is_told_the_number_in_it_alone(seed: int) -> None:
    invite = sent_out(seed, identity="rpid", caller_id="+12025550100")
    assert party_id(invite) == "<sip:+12025550100@carrier.test>;party=calling;screen=yes;privacy=off"
    assert "P-Asserted-Identity" not in invite.headers and "Privacy" not in invite.headers


def test_a_trunk_of_remote_party_id_is_told_there_who_wants_to_stay_unknown(seed: int) -> None:
    invite = sent_out(seed, ("Privacy", "id"), identity="rpid", **ALLOWED)
    assert str(invite.from_.uri) == "sip:anonymous@anonymous.invalid"
    assert party_id(invite) == "<sip:1001@carrier.test>;party=calling;screen=yes;privacy=full"
    assert "P-Asserted-Identity" not in invite.headers and "Privacy" not in invite.headers


TRUST = {"none": {"identity": "none"}, "pai": {"identity": "pai"}}
SPOOFED = (("P-Asserted-Identity", "<sip:boss@office.test>"), ("P-Preferred-Identity", "<sip:boss@office.test>"))


@pytest.mark.rfc(
    "3325",
    "6",
    "The proxy MUST remove the user-provided P-Preferred-Identity header from any message it forwards.",
)
@pytest.mark.rfc(
    "3325",
    "5",
    "If the proxy received the message from an element that it does not trust and there is a P-Asserted-Identity "
    "header present which contains a SIP or SIPS URI, the proxy MUST replace that SIP or SIPS URI with a single SIP "
    "or SIPS URI or remove this header field.",
)
@pytest.mark.parametrize("trust", ["none", "pai"])
def test_what_a_phone_asserts_of_itself_never_leaves(seed: int, trust: str) -> None:
    # "If the user agent is not trusted [...] the proxy MUST remove [or replace] the P-Asserted-Identity header".
    invite = sent_out(seed, *SPOOFED, **TRUST[trust], **ALLOWED)
    assert b"boss" not in invite.to_bytes()


@pytest.mark.rfc(
    "3325",
    "9.1",
    "There may be one or two P-Asserted-Identity values. If there is one value, it MUST be a sip, sips, or tel URI. "
    "If there are two values, one value MUST be a sip or sips URI and the other MUST be a tel URI.",
)
def test_a_trusted_trunk_is_told_the_number_as_sip_and_tel(seed: int) -> None:
    # RFC 3325 §9.1: "one value MUST be a sip or sips URI and the other MUST be a tel URI".
    invite = sent_out(seed, identity="pai", caller_id="+12025550100")
    asserted = invite.headers.get_all("P-Asserted-Identity")
    assert asserted == ["<sip:+12025550100@carrier.test>", "<tel:+12025550100>"]
    assert "Privacy" not in invite.headers


@pytest.mark.rfc(
    "3325",
    "12",
    "… entity sends a message to any destination with that party's identity in a P-Asserted-Identity header field, "
    "the entity MUST take precautions to protect the identity information from eavesdropping and interception to "
    "protect the …",
)
@pytest.mark.rfc(
    "3325",
    "5",
    "If it does not trust the element, then the proxy MUST examine the Privacy header field (if present) to "
    "determine if the user requested that asserted identity information be kept private.",
)
def test_a_trunk_without_trust_is_asserted_nothing(seed: int) -> None:
    # "Proxies MUST NOT [...] send to an untrusted element".
    invite = sent_out(seed, identity="none")
    assert "P-Asserted-Identity" not in invite.headers and "Privacy" not in invite.headers


@pytest.mark.rfc(
    "3325",
    "4",
    "A proxy that is about to forward a message to a proxy server or UA that it does not trust MUST remove all the "
    "P-Asserted-Identity header field values if the user requested that this information be kept private.",
)
@pytest.mark.rfc(
    "3325",
    "7",
    "If this token is present, proxies MUST remove all the P-Asserted-Identity header fields before forwarding "
    "messages to elements that are not trusted.",
)
@pytest.mark.parametrize("privacy", ["id", "header;id", "user", "ID ; critical", "session"])
@pytest.mark.parametrize("trust", ["none", "pai"])
def test_a_caller_who_wants_privacy_is_anonymous_to_the_callee(seed: int, privacy: str, trust: str) -> None:
    invite = sent_out(seed, ("Privacy", privacy), **TRUST[trust], **ALLOWED)
    assert str(invite.from_.uri) == "sip:anonymous@anonymous.invalid"
    assert b"1001" not in b"".join(
        line for line in invite.to_bytes().split(b"\r\n") if line.startswith((b"From", b"Contact"))
    )
    if trust == "pai":
        # RFC 3325 §7: within the trust domain the identity goes on, marked.
        assert invite.headers.get("Privacy") == "id"
        assert invite.headers.get("P-Asserted-Identity") == "<sip:1001@carrier.test>"
    else:
        assert "P-Asserted-Identity" not in invite.headers


@pytest.mark.rfc(
    "3323",
    "5",
    "However, if the Privacy header value of 'none' is specified in a message, privacy services MUST NOT perform "
    "any privacy function and MUST NOT remove or modify the Privacy header.",
)
@pytest.mark.rfc(
    "3323",
    "4.2",
    "An intermediary MUST NOT modify the Privacy header in any way if the 'none' priv-value is already specified.",
)
@pytest.mark.parametrize("privacy", ["none", "none;id", "history", ""])
def test_other_privacy_values_hide_no_name(seed: int, privacy: str) -> None:
    invite = sent_out(seed, ("Privacy", privacy), **ALLOWED)
    assert invite.from_.uri.user == "1001"


@pytest.mark.parametrize(
    ("policy", "caller_ids", "shown"),
    [
        ("replace", ("+12025550100",), "+12025550100"),
        ("replace", ("1001",), "1001"),
        ("replace", ("10*",), "1001"),
        ("pass", ("+12025550100",), "1001"),
        ("reject", ("1001",), "1001"),
    ],
)
def test_the_callers_number_is_kept_replaced_or_passed_by_policy(
    seed: int, policy: str, caller_ids: tuple[str, ...], shown: str
) -> None:
    invite = sent_out(seed, caller_id="+12025550100", caller_ids=caller_ids, caller_id_policy=policy)
    assert str(invite.from_.uri) == f"sip:{shown}@carrier.test"


def test_a_number_that_is_not_allowed_is_403_by_policy(seed: int) -> None:
    with TrunkOffice([trunk("carrier", caller_ids=("+1202",), caller_id_policy="reject")], seed=seed) as office:
        call = office.phone(1001).register().dial("9123456")
        office.world.run()
        assert call.status == 403


def came_in(seed: int, *headers: tuple[str, str], identity: str) -> tuple[str, Request]:
    """(the number that we believe, what the phone gets) of a call from a trunk with these headers."""
    with TrunkOffice([trunk("carrier", identity=identity)], seed=seed) as office:
        office.phone(1001).register().answers(after=0.2)
        office.world.run(until=1.0)
        office.carriers["carrier"].dial("sip:+12025550101@127.0.0.1", headers=headers).hangs_up(after=0.5)
        office.world.run()
        return office.identities[0].user, received(office, "1001")


@pytest.mark.rfc(
    "3325",
    "8",
    "However, if a User Agent Server receives a message from a previous element that it does not trust, it MUST NOT "
    "use the P-Asserted-Identity header field in any way.",
)
@pytest.mark.parametrize(("identity", "believed"), [("pai", "+4930123456"), ("none", "carrier")])
def test_an_asserted_identity_is_believed_from_a_trusted_trunk_alone(seed: int, identity: str, believed: str) -> None:
    asserted = ("P-Asserted-Identity", '"Berlin" <sip:+4930123456@carrier.test;user=phone>, <tel:+4930123456>')
    number, invite = came_in(seed, asserted, identity=identity)
    assert number == believed
    # §5: "MUST remove all the P-Asserted-Identity header field values before forwarding" to who is not trusted.
    assert "P-Asserted-Identity" not in invite.headers


@pytest.mark.parametrize(
    ("party_id", "believed"),
    [
        ("<sip:+4930123456@carrier.test>;party=calling;screen=yes;privacy=off", "+4930123456"),
        ("<sip:+4930123456@carrier.test>", "+4930123456"),
        ("<sip:+4930123456@carrier.test>;party=calling;screen=NO", "carrier"),
        ("<sip:+4930@carrier.test>;screen=no, <tel:+4930123456>;screen=yes", "+4930123456"),
    ],
)
def test_a_remote_party_id_is_believed_from_a_trunk_of_such_alone(seed: int, party_id: str, believed: str) -> None:
    header = ("Remote-Party-ID", party_id)
    assert came_in(seed, header, identity="rpid")[0] == believed
    assert came_in(seed, header, identity="pai")[0] == came_in(seed, header, identity="none")[0] == "carrier"
    asserted = ("P-Asserted-Identity", "<sip:+4930999@carrier.test>")
    assert came_in(seed, asserted, identity="rpid")[0] == "carrier"


@pytest.mark.parametrize(("privacy", "hidden"), [("full", True), ("name", True), ("off", False)])
def test_who_is_unknown_by_remote_party_id_stays_so_when_forwarded(seed: int, privacy: str, hidden: bool) -> None:
    with TrunkOffice([trunk("carrier", identity="rpid"), trunk("out", caller_id_policy="pass")], seed=seed) as office:
        office.carriers["out"].answers(after=0.2)
        office.forwards = ["out"]
        header = ("Remote-Party-ID", f"<sip:+4930123456@carrier.test>;privacy={privacy}")
        office.carriers["carrier"].dial("sip:+12025550101@127.0.0.1", headers=[header]).hangs_up(after=0.5)
        office.world.run()
        invite = received(office, "out")
        assert invite.from_.uri.user == ("anonymous" if hidden else "+4930123456")
        assert "Remote-Party-ID" not in invite.headers


@pytest.mark.parametrize("value", ["", "@@@", "<mailto:x@y>", "<sip:host.only>", "<" * 500])
def test_an_assertion_that_makes_no_sense_leaves_what_from_says(seed: int, value: str) -> None:
    assert came_in(seed, ("P-Asserted-Identity", value), identity="pai")[0] == "carrier"


@pytest.mark.rfc("5806", "4")
def test_a_call_that_is_forwarded_out_says_by_which_number_it_was_diverted(seed: int) -> None:
    trunks = [trunk("carrier", identity="pai"), trunk("out", identity="pai"), trunk("plain", identity="none")]
    with TrunkOffice(trunks, seed=seed) as office:
        for name in ("out", "plain"):
            office.carriers[name].answers(after=0.2)
        office.forwards = ["out", "plain"]
        before = ("Diversion", "<sip:+33123456@carrier.test>;reason=user-busy")
        for _ in range(2):
            call = office.carriers["carrier"].dial("sip:+12025550101@127.0.0.1", headers=[before]).hangs_up(after=0.5)
            office.world.run()
            assert call.was_answered
        diverted = received(office, "out").headers.get_all("Diversion")
        assert diverted == ["<sip:+12025550101@carrier.test>;reason=unknown", before[1]]
        assert "Diversion" not in received(office, "plain").headers


HISTORY = (
    "<sip:+33100@carrier.test;user=phone?Privacy=history>;index=1, <sip:+33200@carrier.test;cause=486>;index=1.1;mp=1, "
    "<sip:proxy.carrier.test>;index=1.1.1, <sip:+12025550101@127.0.0.1;cause=302>;index=1.1.1.1;mp=1.1"
)


@pytest.mark.rfc("7544", "6")
@pytest.mark.parametrize(
    ("history", "diverted"),
    [
        (
            HISTORY,
            [
                "<sip:+33200@carrier.test>;reason=unconditional;counter=1;privacy=off",
                "<sip:+33100@carrier.test>;reason=user-busy;counter=1;privacy=full",
            ],
        ),
        # Without `mp` it is the entry before.
        (
            "<sip:+33100@carrier.test>;index=1, <sip:+33200@carrier.test;cause=408>;index=1.1",
            ["<sip:+33100@carrier.test>;reason=no-answer;counter=1;privacy=off"],
        ),
        ("<sip:+33100@carrier.test>;index=1, <sip:+33200@carrier.test>;index=1.1;rc=1", []),
        ("<sip:+33100@carrier.test;cause=302>;index=1", []),
        ("@@@, <mailto:a@b;cause=302>;index=1", []),
    ],
)
def test_history_info_of_a_trusted_trunk_goes_on_as_diversion(seed: int, history: str, diverted: list[str]) -> None:
    trunks = [trunk("carrier", identity="pai"), trunk("out", identity="pai")]
    with TrunkOffice(trunks, seed=seed) as office:
        office.carriers["out"].answers(after=0.2)
        office.forwards = ["out"]
        header = ("History-Info", history)
        office.carriers["carrier"].dial("sip:+12025550101@127.0.0.1", headers=[header]).hangs_up(after=0.5)
        office.world.run()
        invite = received(office, "out")
        assert invite.headers.get_all("Diversion")[1:] == diverted and "History-Info" not in invite.headers


@pytest.mark.rfc("7044", "5")
@pytest.mark.parametrize("header", ["Diversion", "History-Info"])
@pytest.mark.parametrize(("count", "status"), [(3, 200), (30, 482)])
def test_a_call_that_was_forwarded_too_often_goes_no_further(seed: int, header: str, count: int, status: int) -> None:
    with TrunkOffice([trunk("carrier"), trunk("out")], seed=seed) as office:
        office.carriers["out"].answers(after=0.2)
        office.forwards = ["out"]
        past = [(header, f"<sip:+4930{number}@carrier.test>") for number in range(count)]
        call = office.carriers["carrier"].dial("sip:+12025550101@127.0.0.1", headers=past).hangs_up(after=0.5)
        office.world.run()
        assert call.status == status


def test_a_circle_over_a_trunk_that_tells_nothing_of_the_past_ends_by_max_forwards(seed: int) -> None:
    with TrunkOffice([trunk("carrier"), trunk("out")], seed=seed) as office:
        office.forwards = ["out"]
        call = office.carriers["carrier"].dial("sip:+12025550101@127.0.0.1", headers=[("Max-Forwards", "1")])
        office.world.run()
        assert call.status == 483


@pytest.mark.rfc(
    "3325",
    "9.3",
    "Note that a user requesting multiple types of privacy MUST include all of the requested privacy types in its "
    "Privacy header field value.",
)
@pytest.mark.rfc(
    "3323",
    "5.1",
    "The URI that replaces the existing Contact header field value MUST dereference to the privacy service.",
)
@pytest.mark.rfc(
    "3323",
    "5.3",
    "Note that the privacy service MUST remove any non-essential informational headers that have been added by the "
    "user agent, including the Subject, Call-Info, Organization, User-Agent, Reply-To and In-Reply-To.",
)
@pytest.mark.parametrize("privacy", ["user", "header", "id", "user;header;id"])
def test_nothing_that_tells_of_the_caller_passes(seed: int, privacy: str) -> None:
    told = (
        ("Subject", "plans of alice"),
        ("Call-Info", "<http://alice.example/me.png>;purpose=icon"),
        ("Organization", "House of alice"),
        ("User-Agent", "alice-phone"),
        ("Reply-To", "<sip:alice@office.test>"),
        ("In-Reply-To", "1@alice"),
    )
    invite = sent_out(seed, ("Privacy", privacy), *told, **ALLOWED)
    assert b"alice" not in invite.to_bytes()
    (contact,) = invite.contacts
    assert contact.uri.host == "127.0.0.1"
