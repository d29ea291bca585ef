"""A phone that registers from one port and listens on another is reached by the proxy as by a bridged call."""

from __future__ import annotations

import pytest

from sipcore.flow import Address, Flow
from sipcore.proxy import ProxyTarget
from voipat.dialing import flow_to, target_of
from voipat.location import Binding
from voipat.proxy import _target

LOCAL = Address("192.0.2.1", 5060)


def binding(contact: str, flow: Flow) -> Binding:
    return Binding("a.test", "sip:1@a.test", contact, flow, "call", 1, 600.0)


@pytest.mark.parametrize(
    ("contact", "flow", "port"),
    [
        ("sip:1@203.0.113.5:5070", Flow("UDP", LOCAL, Address("203.0.113.5", 40000)), 5070),
        ("sip:1@203.0.113.5", Flow("UDP", LOCAL, Address("203.0.113.5", 40000)), 5060),
        ("sip:1@10.0.0.5:5070", Flow("UDP", LOCAL, Address("203.0.113.5", 40000)), 40000),
        ("sip:1@203.0.113.5:5070;transport=tcp", Flow("TCP", LOCAL, Address("203.0.113.5", 40000), 7), 40000),
    ],
)
def test_the_port_of_the_contact_counts_without_a_nat(contact: str, flow: Flow, port: int) -> None:
    made = _target(binding(contact, flow))
    assert isinstance(made, ProxyTarget) and made.flow is not None
    assert made.flow.remote == Address("203.0.113.5", port)
    assert made.flow == target_of(binding(contact, flow)).flow == flow_to(binding(contact, flow), made.uri)
