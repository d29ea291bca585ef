"""The objects of a tenant: read whole, refused with place and key, taken apart and put together again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pbx import config
from pbx.errors import ConfigError
from pbx.objects.plan import plain_plan, restore_plan, secrets_of_plan
from pbx.store.sqlite import SqliteStore

REFERENCE = (Path(__file__).parents[4] / "docs" / "reference" / "configuration.md").read_text()
EVERY_KEY = REFERENCE.partition("```toml\n")[2].partition("```")[0]
START = '[[tenant]]\ndomain = "a.test"\n'
PHONES = '[tenant.extensions]\n1001 = "pass-1001"\n1002 = "pass-1002"\n'
GROUPS = '[[tenant.ring_group]]\nnumber = "601"\nmembers = ["1001"]\n'
OUT = """\
[[tenant.trunk]]
name = "carrier"
host = "127.0.0.1:5090"
[[tenant.route]]
name = "out"
pattern = "9X."
trunks = ["carrier"]
[tenant.emergency]
numbers = ["112"]
access = ["9"]
trunks = ["carrier"]
"""


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.parse(START + text, file="x.toml", environ={})
    return [str(problem) for problem in caught.value.problems]


def test_what_is_taken_apart_is_put_together_again() -> None:
    plan = config.parse(EVERY_KEY, environ={}).tenants[0].plan
    values = json.loads(json.dumps(plain_plan(plan, secrets=False)))
    secrets = json.loads(json.dumps(secrets_of_plan(plan)))
    assert restore_plan(values, secrets) == plan
    assert secrets == {"conference": [{"pin": "1234", "moderator_pin": "9999"}]}
    assert "1234" not in json.dumps(values)


def test_the_store_gives_back_what_it_got_and_keeps_no_pin_in_the_clear(tmp_path: Path) -> None:
    tenants = config.parse(EVERY_KEY, environ={}).tenants
    store = SqliteStore.open(tmp_path, wallclock=lambda: 1e9)
    assert store.save_tenants(tenants)
    assert not store.save_tenants(tenants)
    loaded = store.load_tenants()[0]
    assert (loaded.plan, loaded.trunks) == (tenants[0].plan, tenants[0].trunks)
    assert loaded.extensions == tenants[0].extensions
    store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("voipat"))
    assert b"2468" not in kept and b"9999" not in kept
    assert b"what the carrier gave us" not in kept


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (PHONES + '[[tenant.menu]]\nnumber = "1001"\n',
         "x.toml:6: tenant.a.test.menu: the number '1001' is also an extension"),
        (
            PHONES + '[[tenant.queue]]\nnumber = "610"\ncallback_tries = 11\n',
            "x.toml:8: tenant.a.test.queue.610.callback_tries: 11 is not allowed, give a whole number from 1 to 10",
        ),
        (
            PHONES + '[[tenant.did]]\nnumber = "+12025550100"\ntarget = "1001"\nqueue_priority = 101\n',
            "x.toml:9: tenant.a.test.did.+12025550100.queue_priority: "
            "101 is not allowed, give a whole number from 0 to 100",
        ),
        (
            PHONES + '[[tenant.ring_group]]\nnumber = "600"\nmembers = ["1001", "1009"]\n',
            "x.toml:8: tenant.a.test.ring_group.600.members[1]: "
            "'1009' is neither an extension of this tenant nor a number outside",
        ),
        (
            PHONES + GROUPS + '[[tenant.ring_group]]\nnumber = "602"\nmembers = ["1001", "601"]\n',
            "x.toml:11: tenant.a.test.ring_group.602.members[1]: "
            "'601' is neither an extension of this tenant nor a number outside",
        ),
        (
            PHONES + OUT + '[[tenant.ring_group]]\nnumber = "602"\nmembers = ["92025550123", "9112"]\n',
            "x.toml:19: tenant.a.test.ring_group.602.members[1]: "
            "'9112' is neither an extension of this tenant nor a number outside",
        ),
        (
            PHONES + GROUPS + '[[tenant.queue]]\nnumber = "610"\nagents = ["1001", "601"]\n',
            "x.toml:11: tenant.a.test.queue.610.agents[1]: '601' is no extension of this tenant",
        ),
        (
            PHONES + '[[tenant.recording]]\nname = "x"\nextensions = ["1010"]\n',
            "x.toml:8: tenant.a.test.recording[0].extensions[0]: '1010' is no extension of this tenant",
        ),
        (
            PHONES + '[[tenant.recording]]\nname = "x"\nqueues = ["610"]\n',
            "x.toml:8: tenant.a.test.recording[0].queues: '610' is no queue of this tenant",
        ),
        (
            PHONES + '[[tenant.recording]]\nname = "x"\ntrunks = ["carier"]\n',
            "x.toml:8: tenant.a.test.recording[0].trunks: 'carier' is no trunk of this tenant",
        ),
        (
            PHONES + '[[tenant.did]]\nnumber = "+1"\ntarget = "1001"\ntrunk = "carier"\n',
            "x.toml:9: tenant.a.test.did.+1.trunk: 'carier' is no trunk of this tenant",
        ),
        (
            PHONES + '[[tenant.menu]]\nnumber = "500"\nkeys = { 1 = "mailbox:1007" }\n',
            "x.toml:8: tenant.a.test.menu.500.keys.1: 'mailbox:1007' leads nowhere: no such number in this tenant",
        ),
        (
            PHONES + '[[tenant.menu]]\nnumber = "500"\nkeys = { 1 = "mailbox:1001" }\n',
            "x.toml:8: tenant.a.test.menu.500.keys.1: 'mailbox:1001' leads nowhere: the extension has no mailbox",
        ),
        (
            PHONES + '1003 = { password = "pass-1003", forward = { busy = "mailbox:1001" } }\n',
            "x.toml:3: tenant.a.test.extensions: 1003: forward.busy: 'mailbox:1001' is no mailbox of this tenant",
        ),
        (
            '[tenant.features]\nforward_on = "*7"\nforward_off = "*73"\n',
            "x.toml:3: tenant.a.test.features: the code '*7' of forward_on begins '*73' of forward_off",
        ),
        (
            '[tenant.features]\necho = "*43"\ndnd_on = "*43"\n',
            "x.toml:3: tenant.a.test.features: the code '*43' of dnd_on is also that of echo",
        ),
        (
            '[[tenant.times]]\nname = "x"\nhours = ["mon 09:00-25:00"]\n',
            "x.toml:5: tenant.a.test.times[0].hours[0]: 'mon 09:00-25:00' is not allowed, give hours such as "
            "'mon-fri 09:00-17:00' or '22:00-06:00', 24:00 is the end of the day",
        ),
        (
            '[[tenant.did]]\nnumber = "+1"\ntarget = "hangup"\ntimes = "office"\n',
            "x.toml:6: tenant.a.test.did.+1.times: 'office' is no times of this tenant",
        ),
        (
            '[[tenant.route]]\nname = "x"\npattern = "re:(9+)+"\ntrunks = ["c"]\n',
            "x.toml:5: tenant.a.test.route[0].pattern: 're:(9+)+' is not allowed, give a regular expression without "
            "repeated groups, backreferences and look-arounds, with at most two of * and +",
        ),
        ('time_zone = "Mars/Base"\n',
         "x.toml:3: tenant.a.test.time_zone: 'Mars/Base' is not allowed, give a time zone such as 'Europe/Berlin'"),
        ('[tenant.emergency]\nnumbers = ["112"]\n',
         "x.toml:3: tenant.a.test.emergency: names no trunk: emergency calls would go nowhere"),
        (
            PHONES + '[tenant.emergency]\nnotify = ["1001", "1009"]\n',
            "x.toml:7: tenant.a.test.emergency.notify[1]: '1009' is no extension of this tenant",
        ),
        (
            PHONES + '[tenant.limits]\nnotify = ["1001", "1009"]\n',
            "x.toml:7: tenant.a.test.limits.notify[1]: '1009' is no extension of this tenant",
        ),
        ('[[tenant.menu]]\nnumber = "500"\nprompt = "../x"\n',
         "x.toml:5: tenant.a.test.menu.500.prompt: '../x' is not allowed, give "
         "the name of a prompt, such as 'main' or 'menus/main'"),
        ('[[tenant.menu]]\nnumbr = "500"\n', "x.toml:3: tenant.a.test.menu[0].number: is missing"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(text: str, fault: str) -> None:
    assert fault in faults(text)
