"""What a rejection's id tells a person to do is true: the keys are those of the configuration, the commands work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from pbx import config
from pbx.cli_parser import build_parser
from pbx.errors import ConfigError
from pbx.objects.plan import KINDS, SINGLES
from voipat.reasons import REASONS

# `table.key`, with a value or without; the tables within are dotted too.
KEY = re.compile(r"(?P<table>[a-z]\w*)\.(?P<path>[\w-]+(?:\.[\w-]+)*)(?: = (?P<value>.+))?")
TABLES = ("server", "tenant", "extension", "trunk", *KINDS)
TENANT = '[[tenant]]\ndomain = "a.test"\n'


def with_backticks() -> Iterator[tuple[str, str]]:
    for reason in REASONS.values():
        for text in (reason.explanation, reason.fix):
            yield from ((reason.id, found) for found in re.findall(r"`([^`]*)`", text))


def fault_of(said: str) -> str:
    """Why the configuration does not take `table.key` or `table.key = value`; "" when it does."""
    match = KEY.fullmatch(said)
    if match is None or match["table"] not in TABLES:
        return f"{said} is no key of a table"
    table, path = match["table"], match["path"].split(".")
    *within, key = path
    value = match["value"]
    if table in ("server", "tenant"):
        text, header = TENANT if table == "tenant" else "", table if within or table == "server" else ""
    else:
        text, header = TENANT + f"[[tenant.{table}]]\n", f"tenant.{table}" if within else ""
    text += f"[{'.'.join([header, *within])}]\n" if header else ""
    try:
        # Without a value nothing is said of it: any will do to see whether the key is known.
        config.parse(f"{text}{key} = {value or '{}'}\n", environ={})
    except ConfigError as error:
        own = [each for each in error.problems if each.key.endswith(f".{key}")]
        unknown = [each for each in error.problems if each.reason.startswith("unknown key")]
        return "; ".join(map(str, unknown or (own if value else [])))
    return ""


def is_command(said: str) -> bool:
    try:
        build_parser().parse_args(shlex.split(said)[1:])
    except SystemExit:
        return False
    return True


def test_each_says_what_to_do_or_why_there_is_nothing_to_do() -> None:
    for reason in REASONS.values():
        assert len(reason.fix) > 15 and reason.fix[0] != " " and reason.fix.endswith("."), reason.id
        assert reason.fix != reason.explanation, reason.id
        if reason.fix.startswith("Nothing"):
            assert re.match(r"Nothing(: | when | for )", reason.fix), f"{reason.id}: nothing, and why"
        for text in (reason.explanation, reason.fix):
            assert text.isprintable() and text.count("`") % 2 == 0 and "|" not in text and "  " not in text, reason.id


def test_each_key_is_one_of_the_configuration_and_each_command_one_of_voipat(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = list(with_backticks())
    commands = [(reason, said) for reason, said in found if said.startswith("voipat ")]
    keys = [pair for pair in found if pair not in commands]
    assert [pair for pair in commands if not is_command(pair[1])] == []
    assert [(reason, fault) for reason, said in keys if (fault := fault_of(said))] == []
    assert len(keys) > 100 and len(commands) > 40
    capsys.readouterr()


def test_no_key_stands_without_its_backticks() -> None:
    looks_like_one = re.compile(rf"\b({'|'.join((*TABLES, *SINGLES, 'features', 'guard'))})\.[a-z]|\b[a-z]+_[a-z_]+ = ")
    for reason in REASONS.values():
        for text in (reason.explanation, reason.fix):
            assert not looks_like_one.search(re.sub(r"`[^`]*`", "", text)), reason.id


@pytest.mark.parametrize("place", [*TABLES, "server.guard", "server.tls", "tenant.limits", "extension.forward"])
def test_a_key_that_is_none_is_noticed(place: str) -> None:
    assert "unknown key" in fault_of(f"{place}.maximum_calls")
    assert "unknown key" in fault_of(f"{place}.maximum_calls = 3")


@pytest.mark.parametrize(
    "said",
    [
        "max_calls",
        "carrier.max_calls",
        "trunk.carrier.max_calls",
        "tenant.limit.max_calls",
        'extension.srtp = "sometimes"',
        "extension.intercom = 1",
        "trunk.cps = 0",
        'trunk.redirects = "always"',
    ],
)
def test_what_the_configuration_does_not_take_is_noticed(said: str) -> None:
    assert fault_of(said)


@pytest.mark.parametrize("said", ["voipat", "voipat bans --raise ADDRESS", "voipat lift", "voipat route NUMBER"])
def test_a_command_that_is_none_is_noticed(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_command(said)
    capsys.readouterr()


def test_nothing_is_filled_in_that_could_be_a_secret_or_of_another_tenant() -> None:
    """The texts are the same for everybody: no place for a value, no address, no password."""
    for reason in REASONS.values():
        for text in (reason.text, reason.explanation, reason.fix):
            assert not re.search(r"[{}%]|(?<![§.\d])\d+(\.\d+){3}|(password|pin|realm|ha1) = ", text), reason.id
