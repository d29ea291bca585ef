"""Numbers and where they go."""

from __future__ import annotations

import pytest

from pbx.directory import Directory
from pbx.objects.features import FeaturesConfig
from pbx.routing import NoRoute, ToEcho, ToExtension, route
from pbx.tenants import ExtensionConfig, TenantConfig
from voipat import reasons

OFFICE = TenantConfig("office.test", extensions={"1001": ExtensionConfig("1001")}, features=FeaturesConfig(echo="*43"))
SHOP = TenantConfig("shop.test", extensions={"2001": ExtensionConfig("2001")})
DIRECTORY = Directory([OFFICE, SHOP])


def test_an_extension_is_rung() -> None:
    assert route(DIRECTORY, "office.test", "1001", "office.test") == ToExtension(OFFICE.extensions["1001"])


def test_the_host_is_compared_without_case() -> None:
    assert isinstance(route(DIRECTORY, "office.test", "1001", "OFFICE.test"), ToExtension)


def test_the_echo_code_is_the_tenants_own() -> None:
    assert route(DIRECTORY, "office.test", "*43", "office.test") == ToEcho()
    assert isinstance(route(DIRECTORY, "shop.test", "*43", "shop.test"), NoRoute)


@pytest.mark.parametrize(
    ("tenant", "number", "host"),
    [
        ("office.test", "1002", "office.test"),
        ("office.test", "", "office.test"),
        ("office.test", "2001", "shop.test"),
        ("office.test", "2001", "office.test"),
        ("office.test", "1001", "elsewhere.test"),
        ("", "1001", "office.test"),
        ("gone.test", "1001", "gone.test"),
    ],
)
def test_all_else_is_an_unknown_number(tenant: str, number: str, host: str) -> None:
    assert route(DIRECTORY, tenant, number, host) == NoRoute(reasons.UNKNOWN_NUMBER)
