"""`[[tenant.trunk]]` is read whole, or each fault is told with its line."""

from __future__ import annotations

import pytest

from pbx import config
from pbx.errors import ConfigError
from pbx.trunk_config import NumberRule, TrunkConfig

HEAD = '[[tenant]]\ndomain = "a.test"\n'


def trunks(text: str) -> tuple[TrunkConfig, ...]:
    return config.parse(HEAD + text, file="x.toml", environ={"HOME": "/home/a"}).tenants[0].trunks


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        trunks(text)
    return [str(problem) for problem in caught.value.problems]


def test_a_trunk_on_an_address_is_heard_from_that_address_and_port() -> None:
    (trunk,) = trunks('[[tenant.trunk]]\nname = "carrier"\nhost = "127.0.0.1:5090"\n')
    assert [str(address) for address in trunk.addresses] == ["127.0.0.1/32:5090"]
    assert (trunk.host, trunk.port, trunk.transport, trunk.options_s) == ("127.0.0.1", 5090, "udp", 30.0)


def test_a_stream_comes_from_any_port_and_a_name_says_nothing_of_where() -> None:
    text = '[[tenant.trunk]]\nname = "one"\nhost = "[2001:db8::7]:5090"\ntransport = "tcp"\n'
    text += '[[tenant.trunk]]\nname = "two"\nhost = "SIP.Carrier.example"\n'
    one, two = trunks(text)
    assert [str(address) for address in one.addresses] == ["2001:db8::7/128"]
    assert (two.host, two.realm, two.domain, two.addresses) == (*3 * ("sip.carrier.example",), ())


def test_the_first_number_rule_that_fits_is_applied() -> None:
    text = '[[tenant.trunk]]\nname = "c"\nhost = "c.example"\n'
    text += (
        '[[tenant.trunk.numbers]]\nprefix = "+49"\nstrip = 3\nadd = "0"\n[[tenant.trunk.numbers]]\nadd = "00"\nstrip=1'
    )
    (trunk,) = trunks(text)
    assert trunk.numbers == (NumberRule("+49", 3, "0"), NumberRule("", 1, "00"))
    assert [trunk.number(number) for number in ("+4930123", "+331234")] == ["030123", "00331234"]


def test_caller_ids_are_a_list_with_open_ends_or_what_is_ours_anyway() -> None:
    text = '[[tenant.trunk]]\nname = "c"\nhost = "c.example"\ndids = ["+1"]\ncaller_id = "+2"\n'
    (trunk,) = trunks(text)
    assert [trunk.allows_caller_id(number) for number in ("+1", "+2", "+3", "")] == [True, True, False, False]
    (trunk,) = trunks(text + 'caller_ids = ["+2*"]\n')
    assert [trunk.allows_caller_id(number) for number in ("+1", "+2", "+299")] == [False, True, True]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (
            'host = "carrier.example:99999"',
            "x.toml:5: tenant.a.test.trunk[0].host: 'carrier.example:99999' is not allowed",
        ),
        ('host = "1.2.3"', "x.toml:5: tenant.a.test.trunk[0].host: '1.2.3' is not allowed"),
        ('host = "c.example"\nusername = "u"', "tenant.a.test.trunk[0].password: is missing"),
        ('host = "192.0.2.1"\nusername = "u"\npassword = "p"', "tenant.a.test.trunk[0].realm: is missing"),
        ('host = "c.example"\nregister = true', "tenant.a.test.trunk[0].register: needs username and password"),
        ('host = "c.example"\nbulk = true', "tenant.a.test.trunk[0].bulk: needs register"),
        (
            'host = "c.example"\naddresses = ["192.0.2.7/24"]',
            "tenant.a.test.trunk[0].addresses[0]: '192.0.2.7/24' is not",
        ),
        ('host = "c.example"\noptions_s = 1', "tenant.a.test.trunk[0].options_s: less than 5 s is not allowed"),
        ('host = "c.example"\ncertificate_name = "c.example"', 'certificate_name: needs transport = "tls"'),
        ('host = "c.example"\ncaller_id = "5"\ncaller_ids = ["6"]', "caller_id: is none of caller_ids"),
        ('host = "c.example"\ndids = ["abc"]', "dids[0]: 'abc' is not allowed"),
        ('host = "c.example"\nhots = 1', "tenant.a.test.trunk[0].hots: unknown key, did you mean 'host'?"),
    ],
)
def test_a_fault_names_file_line_key_and_what_is_allowed(lines: str, fault: str) -> None:
    (problem,) = faults(f'[[tenant.trunk]]\nname = "c"\n{lines}\n')
    assert fault in problem


def test_a_password_is_never_printed() -> None:
    (trunk,) = trunks('[[tenant.trunk]]\nname = "c"\nhost = "c.example"\nusername = "u"\npassword = "hush hush"\n')
    assert "hush" not in repr(trunk)
    assert all(
        "hush" not in problem
        for problem in faults('[[tenant.trunk]]\nname = "c"\nhost = "c.example"\npassword = "hush"')
    )


def test_two_trunks_on_one_address_need_ports_or_numbers_of_their_own() -> None:
    one = '[[tenant.trunk]]\nname = "one"\nhost = "192.0.2.1"\n{}\n'
    one += '[[tenant.trunk]]\nname = "two"\nhost = "192.0.2.1{}"\n{}\n'
    (problem,) = faults(one.format("", "", ""))
    assert "192.0.2.1/32:5060 is that of an earlier trunk too" in problem
    assert len(trunks(one.format("", ":5062", ""))) == 2
    assert len(trunks(one.format('dids = ["1"]', "", 'dids = ["2"]'))) == 2
    assert faults(one.format('dids = ["1"]', "", 'dids = ["1", "2"]'))


def test_a_name_is_given_once() -> None:
    trunk = '[[tenant.trunk]]\nname = "c"\nhost = "c.example"\n'
    (problem,) = faults(trunk * 2)
    assert "'c' is the name of an earlier trunk" in problem
