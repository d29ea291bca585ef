"""The registrar: RFC 3261 §10.3, RFC 5626 §6, and what a phone in the field does."""

from __future__ import annotations

import sys

import pytest

from sipcore.flow import Address, Flow
from sipcore.message import Request
from voipat import events
from voipat.accounts import Identity
from voipat.devices import device_of
from voipat.location import Binding, MemoryLocation
from voipat.reasons import Reason
from voipat.registrar import Registrar, RegistrarPolicy

FLOW = Flow("UDP", Address("192.0.2.1", 5060), Address("198.51.100.7", 40000))
ALICE = Identity("example.com", "alice")
AOR = "sip:alice@example.com"

Answer = tuple[int, list[tuple[str, str]], Reason | None]


class Desk:
    """A registrar at a time that the test moves, and what it tells."""

    def __init__(self, policy: RegistrarPolicy | None = None) -> None:
        self.now = 1000.0
        self.events: list[events.Event] = []
        self.registrar = Registrar("example.com", password_of=lambda user: "secret", policy=policy)
        self.registrar.start(lambda: self.now, self.events.append)

    def register(
        self,
        *contacts: str,
        cseq: int = 1,
        call_id: str = "one",
        expires: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        flow: Flow = FLOW,
    ) -> Answer:
        lines = [("To", f"<{AOR}>"), ("From", f"<{AOR}>;tag=1"), ("Call-ID", call_id), ("CSeq", f"{cseq} REGISTER")]
        lines += [("Contact", contact) for contact in contacts]
        lines += [("Expires", expires)] if expires is not None else []
        return self.registrar.register(Request("REGISTER", "sip:example.com", [*lines, *headers]), flow, ALICE)

    @property
    def contacts(self) -> list[str]:
        return [binding.contact for binding in self.registrar.lookup("example.com", "alice")]


def contacts_of(answer: Answer) -> list[str]:
    return [value for name, value in answer[1] if name == "Contact"]


@pytest.mark.rfc(
    "3261",
    "10.3",
    "The response MUST contain Contact header field values enumerating all current bindings. Each Contact value "
    'MUST feature an "expires" parameter indicating its expiration interval chosen by the registrar.',
)
def test_every_binding_comes_back_with_its_remaining_time() -> None:
    desk = Desk()
    desk.register("<sip:alice@10.0.0.1>;expires=100")
    desk.now += 40
    answer = desk.register("<sip:alice@10.0.0.2>;q=0.5", call_id="two", expires="200")
    assert answer[0] == 200
    assert contacts_of(answer) == ["<sip:alice@10.0.0.1>;expires=60", "<sip:alice@10.0.0.2>;q=0.5;expires=200"]
    assert dict(answer[1])["Date"] == "Thu, 01 Jan 1970 00:17:20 GMT"


@pytest.mark.rfc(
    "3261",
    "10.2.3",
    "A success response to any REGISTER request contains the complete list of existing bindings, regardless of "
    "whether the request contained a Contact header field. If no Contact header field is present in a REGISTER "
    "request, the list of bindings is left unchanged.",
)
def test_without_a_contact_the_bindings_are_only_read() -> None:
    desk = Desk()
    desk.register("<sip:alice@10.0.0.1>")
    assert len(contacts_of(desk.register(cseq=2))) == 1


@pytest.mark.rfc(
    "3261",
    "10.2.1.1",
    "There are two ways in which a client can suggest an expiration interval for a binding: through an Expires "
    'header field or an "expires" Contact header parameter. The latter allows expiration intervals to be suggested '
    "on a per-binding basis.",
)
def test_the_contacts_own_expires_beats_the_header() -> None:
    assert contacts_of(Desk().register("<sip:a@10.0.0.1>;expires=90", expires="500")) == ["<sip:a@10.0.0.1>;expires=90"]


@pytest.mark.rfc("3261", "10.2", "Malformed values SHOULD be treated as equivalent to 3600.")
def test_an_unreadable_expires_counts_as_an_hour() -> None:
    assert contacts_of(Desk().register("<sip:a@10.0.0.1>;expires=soon")) == ["<sip:a@10.0.0.1>;expires=3600"]


def test_more_than_the_longest_time_is_cut() -> None:
    assert contacts_of(Desk().register("<sip:a@10.0.0.1>", expires="999999")) == ["<sip:a@10.0.0.1>;expires=7200"]


@pytest.mark.rfc(
    "3261",
    "10.3",
    "… the registrar MAY reject the registration with a response of 423 (Interval Too Brief). This response MUST "
    "contain a Min-Expires header field that states the minimum expiration interval the registrar is willing to "
    "honor.",
)
def test_too_brief_is_423_with_the_least_that_is_allowed() -> None:
    desk = Desk()
    status, headers, reason = desk.register("<sip:a@10.0.0.1>", expires="10")
    assert (status, headers) == (423, [("Min-Expires", "60")])
    assert reason is not None and reason.id == "VP-5002"
    assert desk.contacts == []


@pytest.mark.rfc(
    "3261",
    "10.2.2",
    'The REGISTER-specific Contact header field value of "*" applies to all registrations, but it MUST NOT be '
    'used unless the Expires header field is present with a value of "0".',
)
def test_star_removes_everything_only_alone_and_with_expires_0() -> None:
    desk = Desk()
    desk.register("<sip:a@10.0.0.1>", "<sip:a@10.0.0.2>")
    assert desk.register("*", cseq=2)[0] == 400
    assert desk.register("*", cseq=2, expires="30")[0] == 400
    assert desk.register("*", "<sip:a@10.0.0.3>", cseq=2, expires="0")[0] == 400
    assert len(desk.contacts) == 2
    assert desk.register("*", cseq=2, expires="0")[0] == 200
    assert desk.contacts == []


@pytest.mark.rfc(
    "3261",
    "10.3",
    "… the registrar checks the Call-ID value. If the Call-ID value in the existing binding differs from the Call-ID "
    "value in the request, the binding MUST be removed if the expiration time is zero and updated otherwise. If they "
    "are the same, the registrar compares the CSeq value. If the value is higher than that of the existing binding, "
    "it MUST update or remove the binding as above. If not, the update MUST be aborted and the request fails.",
)
def test_an_old_cseq_of_the_same_call_id_changes_nothing() -> None:
    desk = Desk()
    desk.register("<sip:a@10.0.0.1>", "<sip:a@10.0.0.2>", cseq=5)
    status, _, reason = desk.register("<sip:a@10.0.0.9>", "<sip:a@10.0.0.1>;expires=0", cseq=5)
    assert status == 500 and reason is not None and reason.id == "VP-5003"
    assert sorted(desk.contacts) == ["sip:a@10.0.0.1", "sip:a@10.0.0.2"]
    assert desk.register("*", cseq=4, expires="0")[0] == 500


@pytest.mark.rfc(
    "3261",
    "10.3",
    "For each address, the registrar then searches the list of current bindings using the URI comparison rules.",
)
def test_contacts_are_the_same_when_their_uris_are() -> None:
    desk = Desk()
    desk.register("<sip:alice@Host.example;transport=TCP>")
    desk.register("<sip:%61lice@host.EXAMPLE;transport=tcp>", cseq=2)
    assert desk.contacts == ["sip:%61lice@host.EXAMPLE;transport=tcp"]
    desk.register("<sip:alice@host.example>", cseq=3)
    assert len(desk.contacts) == 2


@pytest.mark.rfc(
    "5626",
    "6",
    "The registrar MUST be prepared to receive, simultaneously for the same AOR, some registrations that use "
    "instance-id and reg-id and some registrations that do not.",
)
def test_a_phone_that_reboots_with_another_port_replaces_itself() -> None:
    desk = Desk()
    for boot in range(100):
        desk.register(
            f'<sip:alice@10.0.0.1:{50000 + boot}>;+sip.instance="<urn:uuid:1>";reg-id=1', call_id=f"boot {boot}"
        )
    assert desk.contacts == ["sip:alice@10.0.0.1:50099"]
    assert sum(isinstance(event, events.Unregistered) for event in desk.events) == 0


def test_two_phones_of_one_user_keep_two_bindings() -> None:
    desk = Desk()
    desk.register('<sip:a@10.0.0.1>;+sip.instance="<urn:uuid:1>"')
    desk.register('<sip:a@10.0.0.2>;+sip.instance="<urn:uuid:2>"', call_id="two")
    assert len(desk.contacts) == 2


def test_one_contact_too_many_is_refused_and_changes_nothing() -> None:
    desk = Desk(RegistrarPolicy(max_contacts=2))
    desk.register("<sip:a@10.0.0.1>", "<sip:a@10.0.0.2>")
    status, _, reason = desk.register("<sip:a@10.0.0.3>", cseq=2)
    assert status == 403 and reason is not None and reason.id == "VP-5004"
    assert len(desk.contacts) == 2
    assert desk.register("<sip:a@10.0.0.3>", "<sip:a@10.0.0.1>;expires=0", cseq=3)[0] == 200


def test_by_policy_the_oldest_contact_makes_room() -> None:
    desk = Desk(RegistrarPolicy(max_contacts=2, replace_oldest=True))
    for number in range(1, 4):
        desk.register(f"<sip:a@10.0.0.{number}>", cseq=number)
        desk.now += 1
    assert sorted(desk.contacts) == ["sip:a@10.0.0.2", "sip:a@10.0.0.3"]


@pytest.mark.parametrize("contact", ["<tel:+1>", "<sip:" + "a" * 2000 + "@10.0.0.1>", "<mailto:a@b>"])
def test_a_contact_that_cannot_be_called_is_400(contact: str) -> None:
    assert Desk().register(contact)[0] == 400


def test_calls_find_the_highest_q_first_and_the_newest_of_equals() -> None:
    desk = Desk()
    desk.register("<sip:a@10.0.0.1>;q=0.3", "<sip:a@10.0.0.2>;q=nonsense", "<sip:a@10.0.0.3>")
    assert desk.contacts == ["sip:a@10.0.0.3", "sip:a@10.0.0.2", "sip:a@10.0.0.1"]


def test_where_the_register_came_from_is_kept_with_path_and_user_agent() -> None:
    desk = Desk()
    desk.register("<sip:a@10.0.0.1>", headers=(("User-Agent", "Snom"), ("Path", "<sip:edge.example;lr>")))
    (binding,) = desk.registrar.lookup("example.com", "alice")
    assert (binding.flow, binding.received, binding.transport) == (FLOW, "198.51.100.7:40000", "UDP")
    assert (binding.user_agent, binding.path) == ("Snom", ("<sip:edge.example;lr>",))


def test_listeners_hear_of_first_registration_refresh_removal_and_expiry() -> None:
    desk = Desk()
    desk.register("<sip:a@10.0.0.1>", expires="100")
    desk.register("<sip:a@10.0.0.1>", cseq=2, expires="100")
    desk.register("<sip:a@10.0.0.1>", cseq=3, expires="0")
    desk.register("<sip:a@10.0.0.2>", cseq=4, expires="100")
    desk.now += 101
    desk.registrar.expire()
    assert desk.contacts == []
    told = [
        (event.contact[-1], event.is_refresh if isinstance(event, events.Registered) else event.why)
        for event in desk.events
        if isinstance(event, events.Registered | events.Unregistered)
    ]
    assert told == [("1", False), ("1", True), ("1", "removed"), ("2", False), ("2", "expired")]


def test_a_binding_weighs_less_than_two_kilobytes() -> None:
    desk = Desk()
    agent = (("User-Agent", "A phone of some vendor 1.2.3.4"),)
    desk.register("<sip:alice@10.0.0.1:5060;transport=udp>", call_id="c" * 40, headers=agent)
    (binding,) = desk.registrar.lookup("example.com", "alice")
    parts = [binding, binding.flow, binding.flow.remote, *(getattr(binding, name) for name in binding.__slots__)]
    assert sum(sys.getsizeof(part) for part in parts) < 2000


class Keeper:
    """A store, as the location sees it."""

    def __init__(self) -> None:
        self.kept: dict[str, Binding] = {}

    def binding_saved(self, binding: Binding) -> None:
        self.kept[binding.key] = binding

    def binding_removed(self, binding: Binding) -> None:
        del self.kept[binding.key]


def test_an_observer_can_rebuild_the_bindings_after_a_restart() -> None:
    keeper = Keeper()
    registrar = Registrar("example.com", password_of=lambda user: "x", location=MemoryLocation(keeper))
    desk = Desk()
    desk.registrar = registrar
    registrar.start(lambda: desk.now, desk.events.append)
    desk.register('<sip:a@10.0.0.1>;+sip.instance="<urn:uuid:1>"', "<sip:a@10.0.0.2>;q=0.2", "<sip:a@10.0.0.3>")
    desk.register("<sip:a@10.0.0.3>;expires=0", cseq=2)
    again = MemoryLocation()
    again.restore(
        Binding.from_fields(kept.tenant, kept.aor, kept.contact, kept.expires_at, kept.to_fields())
        for kept in keeper.kept.values()
    )
    assert list(again.bindings("example.com", AOR, desk.now)) == list(registrar.lookup("example.com", "alice"))
    assert len(again) == 2


@pytest.mark.parametrize("fields", [{}, {"transport": "UDP", "local": "no", "remote": ["h", 1]}])
def test_fields_of_another_maker_are_no_binding(fields: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Binding.from_fields("t", AOR, "sip:a@b", 1.0, fields)


async def bindings_by(registrar: Registrar, user: str) -> int:
    return len(await registrar.bindings(user))


def test_bindings_are_found_by_user_and_by_aor() -> None:
    import asyncio

    desk = Desk()
    desk.register("<sip:a@10.0.0.1>")
    for user, count in (("alice", 1), ("sip:alice@EXAMPLE.com", 1), ("bob", 0), ("sip:alice@other.example", 0)):
        assert asyncio.run(bindings_by(desk.registrar, user)) == count


def test_a_user_agent_of_ten_kilobytes_is_cut_and_harms_nothing() -> None:
    desk = Desk()
    status, _, _ = desk.register("<sip:alice@10.0.0.1>", headers=(("User-Agent", "snom370/8.4.35 " + "x" * 10_000),))
    (binding,) = desk.registrar.lookup("example.com", "alice")
    assert status == 200 and len(binding.user_agent) == 128
    assert device_of(binding.user_agent).model == "370"
