"""`?advertised=` of a listener: read, told, refused with what is allowed."""

from __future__ import annotations

import pytest

from pbx.config import needs_restart, parse
from pbx.errors import ConfigError

ONE = "[server]\nlisten = ['udp://10.0.0.5:5060?advertised=203.0.113.7', 'tcp://127.0.0.1:5060']"


def test_a_listener_has_its_address_and_what_its_peers_are_told() -> None:
    server = parse(ONE).server
    assert server.listen == ("udp://10.0.0.5:5060", "tcp://127.0.0.1:5060")
    assert server.listen_advertised == (("10.0.0.5", "203.0.113.7"),)


@pytest.mark.parametrize(
    "listener",
    [
        "udp://10.0.0.5:5060?advertised=example.com",
        "udp://10.0.0.5:5060?advertised=2001:db8::1",
        "udp://10.0.0.5:5060?public=203.0.113.7",
        "udp://10.0.0.5:5060?advertised=",
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(listener: str) -> None:
    with pytest.raises(ConfigError, match="advertised=ADDRESS, an IPv4 address"):
        parse(f"[server]\nlisten = ['{listener}']")


def test_one_address_has_one_advertised_address() -> None:
    two = "udp://10.0.0.5:5060?advertised=203.0.113.7', 'tcp://10.0.0.5:5060?advertised=203.0.113.8"
    with pytest.raises(ConfigError, match="gives one address two advertised ones"):
        parse(f"[server]\nlisten = ['{two}']")


def test_a_change_needs_a_restart() -> None:
    assert needs_restart(parse(ONE), parse(ONE.replace("113.7", "113.8"))) == ("server.listen",)
