"""The directory answers from memory and is swapped whole."""

from __future__ import annotations

import pytest

from pbx import config
from pbx.directory import Directory, LiveDirectory
from pbx.errors import UnknownTenantError
from pbx.tenants import ha1_of

TEXT = """\
[[tenant]]
domain = "A.test"
digest = ["SHA-256", "MD5"]
[[tenant.extension]]
number = "1001"
password = "secret-a"
[[tenant.extension]]
number = "1002"
password = "secret-b"
digest = ["MD5"]
[[tenant]]
domain = "b.test"
[tenant.extensions]
1001 = "secret-c"
"""


@pytest.fixture
def directory() -> Directory:
    return Directory(config.parse(TEXT, environ={}).tenants, default_tenant="a.test")


def test_hashes_are_of_the_tenant_asked(directory: Directory) -> None:
    assert directory.ha1("a.test", "1001", "MD5") == ha1_of("1001", "a.test", "secret-a", "MD5")
    assert directory.ha1("A.TEST", "1001", "SHA-256") == ha1_of("1001", "a.test", "secret-a", "SHA-256")
    assert directory.ha1("b.test", "1001", "MD5") == ha1_of("1001", "b.test", "secret-c", "MD5")


def test_an_algorithm_that_is_not_offered_has_no_hash(directory: Directory) -> None:
    assert directory.ha1("a.test", "1002", "SHA-256") is None


def test_strangers_have_no_hash(directory: Directory) -> None:
    assert directory.ha1("a.test", "9999", "MD5") is None
    assert directory.ha1("c.test", "1001", "MD5") is None


def test_unknown_users_are_offered_what_most_are(directory: Directory) -> None:
    assert directory.digest("a.test", "9999") == directory.digest("a.test") == ("SHA-256", "MD5")
    assert directory.digest("a.test", "1002") == ("MD5",)


def test_the_live_directory_names_domains_in_one_way(directory: Directory) -> None:
    live = LiveDirectory(directory)
    assert (live.domain("A.TEST"), live.domain("b.test"), live.domain("c.test")) == ("a.test", "b.test", None)
    assert live.default_domain == "a.test"
    assert LiveDirectory(Directory()).default_domain is None


def test_an_unknown_tenant_is_an_error(directory: Directory) -> None:
    assert directory.serves("B.test")
    assert not directory.serves("c.test")
    with pytest.raises(UnknownTenantError, match=r"c\.test"):
        directory.tenant("c.test")


def test_a_swap_leaves_the_snapshot_of_calls_under_way(directory: Directory) -> None:
    live = LiveDirectory(directory)
    taken = live.current
    assert live.swap(Directory()) is directory
    assert taken.extension("a.test", "1001") is not None
    assert live.ha1("a.test", "1001", "MD5") is None
