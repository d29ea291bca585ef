"""The scenarios of the contract played by simulated phones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pbx.trace import entry_rows
from sipcore.flow import Address
from tests.contract.ladder import ladder_of
from tests.contract.scenarios import CARRIER, STRANGER, Acts, Dials, Scenario, Taped, chain, user_of
from tests.sim.plan_office import DOMAIN, EXAMPLE
from tests.sim.recording_office import Tapes, share
from tests.sim.voicemail_office import VoicemailOffice
from voipat.recorder import Trace
from voipat.testing import Phone, PhoneCall

# The phones of the captured ladders take no UPDATE.
BARESIP_ALLOW: Final = "INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY, SUBSCRIBE, INFO, MESSAGE, REFER"

_HOURS: Final = re.compile(r'hours = \["mon-fri 09:00-17:00"\]')
_HOLIDAYS: Final = re.compile(r"^\[tenant\.holidays\]\n(?:[\d-]+ = .*\n)+", re.MULTILINE)


class ContractOffice(VoicemailOffice):
    """The example's office with mailboxes and recordings."""

    def __enter__(self) -> ContractOffice:
        super().__enter__()
        self.tapes = Tapes(self.data)
        self.tapes.attach(self)
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.tapes.store.close()


def at_hours(text: str, hours: str) -> str:
    """The configuration with its office open, or closed, at any time that a test runs."""
    if not hours:
        return text
    return _HOLIDAYS.sub("", _HOURS.sub('hours = ["mon-sun 00:00-24:00"]' if hours == "open" else "hours = []", text))


def ladders(scenario: Scenario, data: Path) -> list[str]:
    """The ladder of each of its calls."""
    with ContractOffice(data, text=at_hours(EXAMPLE, scenario.hours)) as office:
        phones: dict[str, Phone] = {}
        for each in chain(scenario):
            calls = _play(office, phones, each)
            told = _gets(phones, each)
            assert told == [act.gets for act in each.acts], told
        if scenario.kept_in:
            assert office.messages(scenario.kept_in), f"no message in {scenario.kept_in}"
        missed = [line for call in calls for line in call.unmet]
        assert not missed, missed
        if scenario.taped is not None:
            _hear(office, phones, scenario.taped)
        recorder = office.app.recorder
        traces = [_trace_of(list(recorder), dials) for dials in scenario.dials]
        return [ladder_of(entry_rows(trace, recorder, messages=True)) for trace in traces]


def _play(office: VoicemailOffice, phones: dict[str, Phone], scenario: Scenario) -> list[PhoneCall]:
    absent = {each.user for each in scenario.acts if each.does == "absent"}
    for user in sorted(scenario.users - absent - phones.keys() - {CARRIER, STRANGER}):
        number, _, domain = user.partition("@")
        phones[user] = office.phone(int(number), domain or DOMAIN)
    phones[CARRIER] = office.carrier
    if STRANGER in scenario.users:
        beside = Address(office.carrier.address.host, office.carrier.address.port + 2)
        phones[STRANGER] = office.world.phone("sip:+12025550123@127.0.0.1", password="", at=beside)
    for phone in phones.values():
        phone.allow = BARESIP_ALLOW
    for act in scenario.acts:
        if act.user in phones:
            _instruct(office, phones[act.user], act)
    calls = [_dial(phones[each.user], each) for each in scenario.dials]
    office.run()
    return calls


def _instruct(office: VoicemailOffice, phone: Phone, act: Acts) -> None:
    match act.does:
        case "answers":
            phone.answers(after=act.after)
        case "rings":
            phone.rings()
        case "refuses":
            phone.refuses(486, after=act.after)
        case "silent":
            office.world.network.cut_off(phone.name)
    if act.keys or act.stays is not None:
        phone.on_call(lambda call: _press(call, act.keys, act.stays))
    if act.then:
        later = office.world.now + act.after + 1.5
        office.world.at(later, lambda: phone.received[-1].refer(phone.uri_of(act.then)))


def _dial(phone: Phone, dials: Dials) -> PhoneCall:
    number = f"sip:{dials.number}@127.0.0.1" if dials.user in (CARRIER, STRANGER) else dials.number
    call = phone.dial(number, after=dials.at)
    return _press(call, dials.keys, dials.stays)


def _press(call: PhoneCall, keys: tuple[tuple[float, str], ...], stays: float | None) -> PhoneCall:
    for delay, digits in keys:
        call.presses(digits, after=delay)
    return call if stays is None else call.hangs_up(after=stays)


def _gets(phones: dict[str, Phone], scenario: Scenario) -> list[str]:
    """The digits that each called phone was told in its last call."""
    lasts = [phones[act.user].received[-1:] if act.user in phones else [] for act in scenario.acts]
    return ["".join(call.heard.digits for call in last) for last in lasts]


def _hear(office: ContractOffice, phones: dict[str, Phone], taped: Taped) -> None:
    (row,) = (row for row in office.tapes.rows() if {row.caller, row.callee} == taped.users)
    assert (row.owner, row.rule, row.state) == (taped.owner, taped.rule, "kept")
    *channels, rate = office.tapes.channels(row)
    for samples, by in zip(channels, (taped.said, taped.told), strict=True):
        last = samples[-rate * 3 // 2 : -rate // 2]
        assert share(last, phones[by.removeprefix("phone:")], rate) > 0.9


def _trace_of(traces: list[Trace], dials: Dials) -> Trace:
    """The newest of that caller and callee; of who is not let in nothing is known."""
    if dials.user == STRANGER:
        (refused,) = (each for each in traces if each.start is None)
        return refused
    found = [
        (each.started, index)
        for index, each in enumerate(traces)
        if each.start is not None
        and each.start.callee == user_of(dials.number)
        and (dials.user == CARRIER or each.start.caller == user_of(dials.user))
    ]
    return traces[max(found)[1]]
