"""T1: the same extension in a thousand tenants, each its own."""

from __future__ import annotations

from pbx import config
from pbx.decisions import FromExtension, ToExtension, describe
from pbx.directory import Directory
from pbx.routing import route
from voipat import reasons

COUNT = 1000
TEXT = "\n".join(
    f'[[tenant]]\ndomain = "t{number}.test"\n[tenant.extensions]\n101 = "secret-{number}"' for number in range(COUNT)
)


def test_extension_101_of_a_thousand_tenants_is_a_thousand_people() -> None:
    directory = Directory(config.parse(TEXT, environ={}).tenants)
    secrets = {directory.ha1(f"t{number}.test", "101", "SHA-256") for number in range(COUNT)}
    assert len(secrets) == COUNT and None not in secrets
    for number in range(COUNT):
        domain, other = f"t{number}.test", f"t{(number + 1) % COUNT}.test"
        own = route(directory, domain, "101", 0.0, FromExtension("101"), host=domain).target
        assert isinstance(own, ToExtension) and own.extension is directory.extension(domain, "101")
        # Another tenant's domain and one that nobody has are refused alike.
        refused = {
            describe(route(directory, domain, "101", 0.0, FromExtension("101"), host=host).target)
            for host in (other, "nobody.test")
        }
        assert refused == {f"nowhere: {reasons.UNKNOWN_NUMBER.id} {reasons.UNKNOWN_NUMBER.text}"}
