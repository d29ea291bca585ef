"""Default deny: what passes without credentials, and what the others are told (security.md H8-H12)."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from sipcore.auth import DigestServer, answer_challenge
from sipcore.endpoint import Admit, Answer, Drop, Refuse, Verdict
from sipcore.entropy import SeededEntropy
from sipcore.flow import Address, Flow
from sipcore.guard import Guard, GuardPolicy
from sipcore.message import Request
from sipcore.names import METHODS
from sipcore.strangers import StrangerPolicy
from sipcore.uri import Uri
from voipat import events
from voipat.accounts import Identity, PasswordAccounts, TrunkIdentity
from voipat.auth_gate import SCANNERS, Gate
from voipat.overload import Overload

FLOW = Flow("UDP", Address("192.0.2.1", 5060), Address("198.51.100.7", 40000))


class Door:
    """A gate, and somebody who knocks."""

    def __init__(self, *, guard: Guard | None = None, public: str = "", domain: str = "example.com") -> None:
        self.events: list[events.Event] = []
        entropy = SeededEntropy(1)
        self.public = public
        self.gate = Gate(
            PasswordAccounts([domain], password_of={"alice": "wonder", "bob": "builder"}.get),
            DigestServer(b"secret", entropy),
            guard=guard,
            public=self.is_public,
            publish=self.events.append,
        )

    def is_public(self, uri: Uri) -> bool:
        return bool(self.public) and uri.user == self.public

    def knock(
        self,
        method: str = "INVITE",
        *,
        uri: str = "sip:bob@example.com",
        from_: str = "sip:alice@example.com",
        to: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        flow: Flow = FLOW,
        now: float = 1.0,
    ) -> Verdict:
        lines = [("From", f"<{from_}>;tag=1"), ("To", to or f"<{uri}>"), ("Call-ID", "c"), ("CSeq", f"1 {method}")]
        return self.gate(Request(method, uri, [*lines, *headers]), flow, now)

    def knock_with(
        self, username: str, password: str, method: str = "INVITE", uri: str = "sip:bob@example.com", **more: str
    ) -> Verdict:
        first = self.knock(method, uri=uri, **more)  # type: ignore[arg-type]  # texts only
        assert isinstance(first, Refuse) and first.status == 401
        answer = answer_challenge(
            first.headers, method=method, uri=uri, username=username, password=password, cnonce="c", nc=1
        )
        return self.knock(method, uri=uri, headers=(answer,), **more)  # type: ignore[arg-type]  # texts only


def warning_of(verdict: Verdict) -> str:
    assert isinstance(verdict, Refuse)
    return dict(verdict.headers)["Warning"].split('"')[1].split()[0]


def test_the_right_password_is_who_you_are() -> None:
    assert Door().knock_with("alice", "wonder") == Admit(Identity("example.com", "alice"))


def test_unknown_user_and_wrong_password_look_alike() -> None:
    door = Door()
    wrong, unknown = door.knock_with("alice", "nope"), door.knock_with("carol", "nope", from_="sip:carol@example.com")
    assert isinstance(wrong, Refuse) and isinstance(unknown, Refuse)
    assert (wrong.status, wrong.reason, [name for name, _ in wrong.headers]) == (
        unknown.status,
        unknown.reason,
        [name for name, _ in unknown.headers],
    )
    assert warning_of(wrong) == warning_of(unknown) == "VP-1001"
    assert [event.reason for event in door.events if isinstance(event, events.RequestRefused)] == [
        "VP-1002",
        "VP-1003",
    ]


@pytest.mark.parametrize("method", ["INVITE", "REGISTER"])
def test_good_credentials_do_not_make_you_somebody_else(method: str) -> None:
    # CVE-2025-47779: authenticated as one user, From of another.
    verdict = Door().knock_with("bob", "builder", method, to="<sip:alice@example.com>")
    assert isinstance(verdict, Refuse) and verdict.status == 403 and warning_of(verdict) == "VP-1004"


def test_our_own_address_stands_for_the_default_domain() -> None:
    verdict = Door().knock_with("alice", "wonder", uri="sip:192.0.2.1", method="REGISTER", to="<sip:alice@192.0.2.1>")
    assert verdict == Admit(Identity("example.com", "alice"))


@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "OPTIONS"])
def test_a_foreign_domain_is_not_served(method: str) -> None:
    verdict = Door().knock(method, uri="sip:x@foreign.test", from_="sip:x@foreign.test")
    assert isinstance(verdict, Refuse) and verdict.status == 403


@pytest.mark.rfc("3903", "14.2", "Implementations MUST support Digest authentication, as defined in RFC 3261.")
@pytest.mark.rfc(
    "3903",
    "14.1",
    "ESCs and EPAs MUST implement Digest for authenticating PUBLISH requests, as defined in RFC 3261.",
)
@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "PUBLISH", "REFER"])
def test_what_is_for_users_needs_credentials(method: str) -> None:
    # CVE-2021-37624: MESSAGE without credentials.
    verdict = Door().knock(method)
    assert isinstance(verdict, Refuse) and verdict.status == 401


@pytest.mark.rfc(
    "3261",
    "21.4.6",
    "The response MUST include an Allow header field containing a list of valid methods for the indicated address.",
)
@pytest.mark.rfc(
    "3261",
    "8.2.1",
    "Once a request is authenticated (or authentication is skipped), the UAS MUST inspect the method of the request.",
)
@pytest.mark.parametrize("method", ["NOTIFY", "UPDATE", "INFO", "PRACK", "BYE"])
def test_other_methods_get_405_and_what_is_allowed(method: str) -> None:
    verdict = Door().knock(method)
    assert isinstance(verdict, Refuse) and verdict.status == 405
    assert "REGISTER" in dict(verdict.headers)["Allow"]


def test_a_method_nobody_knows_gets_501_and_what_is_allowed() -> None:
    verdict = Door().knock("NEWONE")
    assert isinstance(verdict, Refuse) and verdict.status == 501
    assert "REGISTER" in dict(verdict.headers)["Allow"]


def test_requests_within_a_dialog_are_the_endpoints_affair() -> None:
    assert Door().knock("BYE", to="<sip:bob@example.com>;tag=2") == Admit()


def test_a_register_with_a_to_tag_still_needs_credentials() -> None:
    verdict = Door().knock("REGISTER", to="<sip:alice@example.com>;tag=2")
    assert isinstance(verdict, Refuse) and verdict.status == 401


def test_options_to_us_needs_no_credentials() -> None:
    assert Door().knock("OPTIONS", uri="sip:192.0.2.1", from_="sip:x@foreign.test") == Answer(200)


def test_strangers_reach_public_numbers_only() -> None:
    door = Door(public="bob")
    assert door.knock(from_="sip:x@foreign.test") == Admit()
    assert door.knock() == Admit()
    verdict = door.knock(uri="sip:alice@example.com", from_="sip:x@foreign.test")
    assert warning_of(verdict) == "VP-1006"


def test_while_draining_new_calls_and_options_are_refused_and_phones_may_register() -> None:
    door = Door()
    door.gate.draining = True
    for method in ("INVITE", "OPTIONS"):
        verdict = door.knock(method)
        assert isinstance(verdict, Refuse) and verdict.status == 503 and warning_of(verdict) == "VP-2001"
        assert dict(verdict.headers)["Retry-After"] == "10"
    assert door.knock_with("alice", "wonder", "REGISTER", to="<sip:alice@example.com>") == Admit(
        Identity("example.com", "alice")
    )


@pytest.mark.rfc(
    "3903",
    "14.3",
    "To prevent replay attacks, implementations MUST support Digest authentication with replay protection, as "
    "defined in RFC 3261.",
)
def test_a_replayed_request_is_challenged_as_stale() -> None:
    door = Door()
    first = door.knock()
    assert isinstance(first, Refuse)
    answer = answer_challenge(
        first.headers, method="INVITE", uri="sip:bob@example.com", username="alice", password="wonder", cnonce="c", nc=1
    )
    assert isinstance(door.knock(headers=(answer,)), Admit)
    again = door.knock(headers=(answer,))
    assert isinstance(again, Refuse) and "stale=true" in dict(again.headers)["WWW-Authenticate"]


def test_ten_wrong_passwords_ban_the_source_silently_and_the_log_says_when() -> None:
    door = Door(guard=Guard(GuardPolicy(failures=10)))
    for _ in range(10):
        door.knock_with("alice", "nope")
    assert isinstance(door.knock(), Drop)
    told = [event.reason for event in door.events if isinstance(event, events.RequestRefused)]
    assert told == ["VP-1002"] * 10 + ["VP-1009"]


def test_too_many_requests_get_503() -> None:
    door = Door(guard=Guard(GuardPolicy(rate=1.0, burst=2.0), trusted=[ip_network("203.0.113.0/24")]))
    verdicts = [door.knock("OPTIONS", uri="sip:192.0.2.1") for _ in range(3)]
    assert verdicts[1] == Answer(200) and warning_of(verdicts[2]) == "VP-1008"
    assert isinstance(door.knock("REGISTER", to="<sip:alice@example.com>"), Refuse)


def test_behind_a_wildcard_listener_any_literal_may_be_ours() -> None:
    wild = Flow("UDP", Address("0.0.0.0", 5060), Address("198.51.100.7", 40000))
    assert Door().knock("OPTIONS", uri="sip:203.0.113.9", flow=wild) == Answer(200)
    assert isinstance(Door().knock("OPTIONS", uri="sip:name.example", flow=wild), Refuse)


def test_without_accounts_there_is_nobody_to_be() -> None:
    gate = Gate(None, DigestServer(b"s", SeededEntropy(1)), guard=None, public=lambda uri: False, publish=print)
    lines = [("From", "<sip:a@b>;tag=1"), ("To", "<sip:c@d>"), ("Call-ID", "c")]
    for method, status in (("REGISTER", 405), ("INVITE", 403)):
        verdict = gate(Request(method, "sip:c@d", lines), FLOW, 1.0)
        assert isinstance(verdict, Refuse) and verdict.status == status


@pytest.mark.rfc(
    "3323",
    "4.1.1.3",
    "The full recommended form of the From header for anonymity is (note that this From header, like all others, "
    "MUST contain a valid and unique 'tag=' parameter): From: \"Anonymous\" "
    "<sip:anonymous@anonymous.invalid>;tag=1928301774",
)
def test_a_caller_who_hides_its_name_is_the_user_who_authenticates() -> None:
    hidden = "sip:anonymous@Anonymous.invalid"
    assert Door().knock_with("bob", "builder", from_=hidden) == Admit(Identity("example.com", "bob"))
    refused = Door().knock_with("bob", "wrong", from_=hidden)
    assert isinstance(refused, Refuse) and refused.status == 401
    elsewhere = Door().knock(from_=hidden, uri="sip:bob@other.example")
    assert isinstance(elsewhere, Refuse) and elsewhere.status == 403


@pytest.mark.rfc(
    "3261",
    "19.1.4",
    'Characters other than those in the "reserved" set … are equivalent to their ""%" HEX HEX" encoding.',
)
def test_an_escaped_user_is_the_same_user() -> None:
    verdict = Door().knock_with("alice", "wonder", from_="sip:%61lice@example.com")
    assert verdict == Admit(Identity("example.com", "alice"))
    registered = Door().knock_with("alice", "wonder", "REGISTER", uri="sip:example.com", to="<sip:al%69ce@example.com>")
    assert registered == Admit(Identity("example.com", "alice"))


def overloaded(shed: float, **more: object) -> Door:
    door = Door(**more)  # type: ignore[arg-type]  # as given
    door.gate.overload = Overload(SeededEntropy(3))
    door.gate.overload.shed = shed
    return door


def status_of(verdict: Verdict) -> int:
    return verdict.status if isinstance(verdict, Refuse | Answer) else 0


def test_overload_refuses_probes_then_registrations_then_calls() -> None:
    refused = {}
    for shed in (0.0, 1.0, 2.0, 3.0):
        door = overloaded(shed)
        verdicts = {method: door.knock(method) for method in ("OPTIONS", "SUBSCRIBE", "REGISTER", "INVITE")}
        refused[shed] = [method for method, verdict in verdicts.items() if status_of(verdict) == 503]
    assert refused == {
        0.0: [],
        1.0: ["OPTIONS", "SUBSCRIBE"],
        2.0: ["OPTIONS", "SUBSCRIBE", "REGISTER"],
        3.0: ["OPTIONS", "SUBSCRIBE", "REGISTER", "INVITE"],
    }


def test_a_refusal_for_overload_says_when_to_come_back_and_why() -> None:
    verdict = overloaded(4.0).knock()
    assert warning_of(verdict) == "VP-2007"
    assert isinstance(verdict, Refuse) and 5 <= int(dict(verdict.headers)["Retry-After"]) <= 30


def test_overload_lets_work_under_way_go_on() -> None:
    door = overloaded(4.0)
    for method in ("INVITE", "BYE", "UPDATE", "OPTIONS", "SUBSCRIBE"):
        assert door.knock(method, to="<sip:bob@example.com>;tag=2") == Admit()


def test_overload_spares_emergency_calls_and_phones_that_are_registered() -> None:
    door = overloaded(4.0)
    door.gate.emergency_numbers = frozenset({"112"})
    assert status_of(door.knock(uri="sip:112@example.com")) == 401
    assert status_of(door.knock(uri="sip:113@example.com")) == 503
    door.gate.is_registered = lambda user, tenant, host: user.user == "alice" and host == FLOW.remote.host
    assert status_of(door.knock("REGISTER", uri="sip:alice@example.com")) == 401
    assert status_of(door.knock("REGISTER", uri="sip:carol@example.com")) == 503


def test_an_invite_that_answers_our_challenge_goes_before_those_of_strangers() -> None:
    door = overloaded(3.0)
    assert status_of(door.knock()) == 503
    door.gate.overload, overload = None, door.gate.overload
    first = door.knock()
    assert isinstance(first, Refuse)
    good, made_up = (
        answer_challenge(
            [(name, value.replace('nonce="', f'nonce="{junk}')) for name, value in first.headers],
            method="INVITE", uri="sip:bob@example.com", username="alice", password="wonder", cnonce="c", nc=1,
        )
        for junk in ("", "0")
    )  # fmt: skip
    door.gate.overload = overload
    assert status_of(door.knock(headers=(made_up,))) == 503
    assert door.knock(headers=(good,)) == Admit(Identity("example.com", "alice"))


def test_a_challenge_is_answered_once_and_kept_credentials_are_a_call_like_any_other() -> None:
    door = Door()
    first = door.knock()
    assert isinstance(first, Refuse)

    def counted(nc: int) -> tuple[str, str]:
        return answer_challenge(
            first.headers, method="INVITE", uri="sip:bob@example.com", username="alice", password="wonder", cnonce="c",
            nc=nc,
        )  # fmt: skip

    door.gate.overload = Overload(SeededEntropy(3))
    door.gate.overload.shed = 4.0
    assert door.knock(headers=(counted(1),)) == Admit(Identity("example.com", "alice"))
    assert status_of(door.knock(headers=(counted(2),))) == 503
    door.gate.overload.shed = 3.0
    assert door.knock(headers=(counted(3),)) == Admit(Identity("example.com", "alice"))


def test_a_flood_is_not_refused_one_by_one() -> None:
    door = overloaded(4.0, guard=Guard(GuardPolicy(stray_rate=1.0, stray_burst=5.0)))
    verdicts = [door.knock("REGISTER") for _ in range(20)]
    assert [status_of(verdict) for verdict in verdicts] == [503] * 5 + [0] * 15
    assert verdicts[-1] == Drop("overload_unanswered")


def spent(*, burst: float = 30.0, trusted: str = "203.0.113.0/24") -> Door:
    """A door before which a flood of forged sources stands: only who is FIRST is answered."""
    guard = Guard(GuardPolicy(strangers=StrangerPolicy(rate=0.0, burst=burst)), trusted=[ip_network(trusted)])
    door = Door(guard=guard)
    for number in range(200):
        door.knock("OPTIONS", flow=at(f"10.0.0.{number}"))
    return door


def at(host: str, transport: str = "UDP") -> Flow:
    return Flow(transport, Address("192.0.2.1", 5060), Address(host, 40000))


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE", "PUBLISH"])
def test_when_strangers_have_used_up_their_answers_the_next_gets_none_and_its_repetition_one(method: str) -> None:
    door = spent()
    assert door.knock(method) == Drop("guard_unanswered")
    assert door.knock(method, now=1.1) == Drop("guard_unanswered")
    assert isinstance(door.knock(method, now=1.5), Refuse | Answer)


def test_a_flood_keeps_nobody_out_whom_we_know() -> None:
    door = spent()
    door.gate.guard.registered("198.51.100.7", until=600.0)  # type: ignore[union-attr]  # made with one
    for flow in (FLOW, at("203.0.113.9")):
        assert [status_of(door.knock("REGISTER", flow=flow)) for _ in range(50)] == [401] * 50
        assert status_of(door.knock(flow=flow)) == 401
    trunk = TrunkIdentity("example.com", "+4930123", "carrier", "+12025550100")
    door.gate.trunk_of = lambda flow, request: trunk if flow.remote.host == "192.0.2.99" else None
    assert door.knock(flow=at("192.0.2.99")) == Admit(trunk)
    assert door.knock("BYE", to="<sip:bob@example.com>;tag=2", flow=at("192.0.2.98")) == Admit()


def test_a_flood_keeps_out_no_emergency_call_no_connection_and_no_answer_to_our_challenge() -> None:
    door = spent()
    door.gate.emergency_numbers = frozenset({"112"})
    assert status_of(door.knock(uri="sip:112@example.com", flow=at("192.0.2.50"))) == 401
    assert status_of(door.knock(flow=at("192.0.2.51", "TLS"))) == 401
    assert door.knock("REGISTER") == Drop("guard_unanswered")
    first = door.knock("REGISTER", now=1.6)
    assert isinstance(first, Refuse) and first.status == 401
    answer = answer_challenge(
        first.headers, method="REGISTER", uri="sip:example.com", username="alice", password="wonder", cnonce="c", nc=1
    )
    verdict = door.knock("REGISTER", uri="sip:example.com", to="<sip:alice@example.com>", headers=(answer,), now=1.7)
    assert verdict == Admit(Identity("example.com", "alice"))


def test_in_a_flood_the_new_phone_that_waits_is_not_shed_for_overload() -> None:
    door = spent()
    door.gate.overload = Overload(SeededEntropy(3))
    door.gate.overload.shed = 4.0
    assert door.knock("REGISTER") == Drop("guard_unanswered")
    assert status_of(door.knock("REGISTER", now=1.6)) == 401


def datagram(method: str, *, to_tag: str = "", more: str = "") -> bytes:
    lines = [f"{method} sip:bob@example.com SIP/2.0", "Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKx"]
    lines += [
        "From: <sip:alice@example.com>;tag=1",
        f"To: <sip:bob@example.com>{to_tag}",
        "Call-ID: c",
        f"CSeq: 1 {method}",
    ]
    return ("\r\n".join(lines) + f"\r\n{more}\r\n").encode()


def test_in_a_flood_what_would_be_dropped_is_not_even_read() -> None:
    door = spent()
    ignores = door.gate.ignores
    assert ignores(datagram("REGISTER"), FLOW, 1.0)
    assert not ignores(datagram("REGISTER"), FLOW, 1.6), "it has waited"
    assert not ignores(datagram("REGISTER"), at("192.0.2.61", "TCP"), 1.0)
    assert not ignores(datagram("REGISTER"), at("203.0.113.9"), 1.0), "trusted"
    # Quiet sources may call for help; busy ones are not read at all.
    assert not ignores(datagram("INVITE"), at("192.0.2.62"), 1.0)
    busy = at("192.0.2.63")
    for _ in range(20):
        door.knock("OPTIONS", flow=busy)
    for method in ("INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE", "PUBLISH", "REGISTER"):
        assert ignores(datagram(method), busy, 1.0)


@pytest.mark.parametrize("method", ["INVITE", "BYE", "ACK", "CANCEL", "UPDATE", "OPTIONS", "SUBSCRIBE", "INFO"])
def test_in_a_flood_what_may_belong_to_a_call_is_read(method: str) -> None:
    door = spent()
    busy = at("192.0.2.63")
    for _ in range(20):
        door.knock("OPTIONS", flow=busy)
    assert not door.gate.ignores(datagram(method, to_tag=";tag=2"), busy, 1.0)
    assert not door.gate.ignores(datagram(method, to_tag="\r\n ;tag=2"), busy, 1.0)
    assert not door.gate.ignores(datagram(method).replace(b"To:", b"t:"), busy, 1.0)
    assert not door.gate.ignores(b"SIP/2.0 200 OK\r\n\r\n", busy, 1.0)


def test_in_a_flood_credentials_are_read_when_the_nonce_is_ours() -> None:
    door = spent()
    assert door.knock("REGISTER") == Drop("guard_unanswered")
    first = door.knock("REGISTER", now=1.6)
    assert isinstance(first, Refuse)
    name, answer = answer_challenge(
        first.headers, method="REGISTER", uri="sip:example.com", username="alice", password="wonder", cnonce="c", nc=1
    )
    ours = datagram("REGISTER", more=f"{name}: {answer}\r\n")
    assert not door.gate.ignores(ours, FLOW, 1.7)
    assert door.gate.ignores(ours, at("192.0.2.64"), 1.7), "the nonce of another source"
    nonce = ours.partition(b'nonce="')[2][:48]
    assert door.gate.ignores(ours.replace(nonce, b"0" * 48), at("192.0.2.65"), 1.7)


def test_who_is_banned_is_not_read_unless_it_may_belong_to_a_call() -> None:
    door = Door(guard=Guard(GuardPolicy(failures=1)))
    door.knock_with("alice", "nope")
    assert door.gate.ignores(datagram("REGISTER"), FLOW, 2.0)
    assert not door.gate.ignores(datagram("BYE", to_tag=";tag=2"), FLOW, 2.0)
    assert not door.gate.ignores(datagram("REGISTER"), at("192.0.2.66"), 2.0)


MADE_UP = 'Authorization: Digest username="alice", realm="example.com", nonce="' + "0" * 48 + '"\r\n'


@pytest.mark.parametrize("is_spent", [False, True], ids=["alone", "the bucket is spent"])
def test_who_forges_a_trunks_address_keeps_none_of_its_calls_out(is_spent: bool) -> None:
    door = spent() if is_spent else Door(guard=Guard())
    gate, guard, carrier = door.gate, door.gate.guard, at("192.0.2.99")
    assert guard is not None
    trunk = TrunkIdentity("example.com", "+4930123", "carrier", "+12025550100")
    gate.trunk_of = lambda flow, request: trunk if flow.remote.host == "192.0.2.99" else None
    gate.is_trunk_host = "192.0.2.99".__eq__
    made_up = datagram("REGISTER", more=MADE_UP)
    header = MADE_UP.strip().partition(": ")
    for _ in range(100):
        if not gate.ignores(made_up, carrier, 1.0):
            door.knock("REGISTER", headers=((header[0], header[2]),), flow=carrier)
        door.knock("OPTIONS", flow=carrier)
    assert guard.banned(1.0) == []
    assert guard.is_busy_stranger("192.0.2.99", 1.0)
    assert gate.unread(datagram("INVITE"), carrier, 1.0) is None
    assert door.knock(flow=carrier) == Admit(trunk)
    if is_spent:
        assert gate.ignores(made_up, carrier, 1.0), "calls are what a trunk is let in with"
        busy = at("192.0.2.98")
        for _ in range(20):
            door.knock("OPTIONS", flow=busy)
        assert gate.unread(datagram("INVITE"), busy, 1.0) == b""


def test_a_ban_of_a_trunks_address_keeps_none_of_its_calls_out() -> None:
    door = Door(guard=Guard(GuardPolicy(failures=1)))
    door.knock_with("alice", "nope")
    trunk = TrunkIdentity("example.com", "+4930123", "carrier", "+12025550100")
    door.gate.trunk_of = lambda flow, request: trunk
    assert door.gate.ignores(datagram("INVITE"), FLOW, 2.0)
    door.gate.is_trunk_host = FLOW.remote.host.__eq__
    assert not door.gate.ignores(datagram("INVITE"), FLOW, 2.0)
    assert door.knock(now=2.0) == Admit(trunk)


def test_a_flood_from_sources_that_are_busy_does_not_count_as_registrations() -> None:
    door = overloaded(1.0, guard=Guard())
    verdicts = [door.knock("REGISTER") for _ in range(50)]
    # The first ten are those of a phone; then it is shed with the probes, and who comes new is not.
    assert [status_of(verdict) for verdict in verdicts[:9]] == [401] * 9
    assert {status_of(verdict) for verdict in verdicts[10:]} == {503, 0}
    assert status_of(door.knock("REGISTER", flow=at("192.0.2.60"))) == 401


@pytest.mark.parametrize("agent", [*SCANNERS, "Friendly-Scanner/1.0", "VaxSIPUserAgent/3.1"])
@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "INVITE"])
def test_scanners_that_say_so_get_no_answer(agent: str, method: str) -> None:
    door = Door()
    assert door.knock(method, headers=(("User-Agent", agent),)) == Drop("scanners")
    door.gate.drops_scanners = False
    assert not isinstance(door.knock(method, headers=(("User-Agent", agent),)), Drop)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("INVITE", {"from_": "sip:x@foreign.test"}),
        ("REGISTER", {"to": "<sip:alice@foreign.test>"}),
        ("SUBSCRIBE", {"from_": "sip:x@foreign.test"}),
        ("OPTIONS", {"uri": "sip:foreign.test"}),
    ],
)
def test_who_is_of_no_domain_here_is_refused_or_gets_no_answer(method: str, options: dict[str, str]) -> None:
    door = Door()
    assert status_of(door.knock(method, **options)) == 403  # type: ignore[arg-type]  # texts alone
    door.gate.answers_foreign = False
    assert door.knock(method, **options) == Drop("foreign")  # type: ignore[arg-type]
    assert [each.status for each in door.events if isinstance(each, events.RequestRefused)] == [403, 403]
    assert status_of(door.knock(method, uri="sip:bob@example.com")) in (200, 401)


def test_who_is_banned_gets_no_answer_to_what_cannot_be_read() -> None:
    door = Door(guard=Guard(GuardPolicy(failures=1, stray_rate=1.0, stray_burst=3.0)))
    broken = Request("OPTIONS", "sip:bob@example.com", [("Call-ID", "c")])
    assert [door.gate.answers_stray(broken, FLOW, 1.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert door.gate.answers_stray(broken, FLOW, 3.0)
    door.knock_with("alice", "nope", now=3.0)  # type: ignore[arg-type]  # the time
    assert not door.gate.answers_stray(broken, FLOW, 30.0)


@pytest.mark.parametrize("method", sorted(METHODS - {"ACK", "CANCEL", "OPTIONS"}))
def test_credentials_of_one_user_are_none_for_another_whatever_the_method(method: str) -> None:
    # Asterisk CVE-2025-47779: MESSAGE as somebody else. A method that is not served at all is as good a refusal.
    door = Door()
    first = door.knock(method, from_="sip:bob@example.com", uri="sip:bob@example.com")
    if isinstance(first, Refuse) and first.status == 401:
        second = door.knock_with("alice", "wonder", method, from_="sip:bob@example.com")
        assert isinstance(second, Refuse) and second.status == 403
    else:
        assert isinstance(first, Refuse) and first.status in (403, 405, 481)


@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "MESSAGE", "SUBSCRIBE", "OPTIONS"])
def test_a_trunk_is_let_in_with_calls_and_with_nothing_else(method: str) -> None:
    door = Door()
    trunk = TrunkIdentity("example.com", "+4930123", "carrier", "+12025550100")
    door.gate.trunk_of = lambda flow, request: trunk
    verdict = door.knock(method, from_="sip:+4930123@carrier.test", uri="sip:+12025550100@192.0.2.1")
    assert (verdict == Admit(trunk)) is (method == "INVITE")
