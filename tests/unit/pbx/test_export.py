"""Export and apply: what one machine writes, another reads to the same; every object is listed, shown, set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pbx import config
from pbx.cli import main
from pbx.export import toml_of
from pbx.object_commands import ChangeOfTenants, object_rows
from pbx.objects_shown import KIND_NAMES
from pbx.output import Row
from pbx.tenant_state import LiveState
from pbx.tenants import TenantConfig, ha1_of

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "office.toml"
EVERY_KEY = (ROOT / "docs" / "reference" / "configuration.md").read_text().partition("```toml\n")[2].partition("```")[0]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("text", [EXAMPLE.read_text(), EVERY_KEY])
def test_what_is_exported_reads_as_the_same(text: str) -> None:
    tenants = config.parse(text, environ={"HOME": "/"}).tenants
    tenants = tuple(tenant for tenant in tenants if tenant.tls is None) or tenants
    exported = "\n".join(toml_of(tenants))
    if any(tenant.tls for tenant in tenants):
        exported += '\n[server.tls]\ncertificate = "/etc/a.pem"\nkey = "/etc/a.key"\n'
    again = config.parse(exported, environ={"HOME": "/"}).tenants
    for before, after in zip(tenants, again, strict=True):
        assert (after.plan, after.trunks, after.features, after.digest) == (
            before.plan, before.trunks, before.features, before.digest,
        )  # fmt: skip
        assert dict(after.extensions) == dict(before.extensions)


def test_export_and_apply_on_a_new_machine_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = str(tmp_path / "a"), str(tmp_path / "b")
    assert run(capsys, "apply", str(EXAMPLE), "--data", first)[0] == 0
    _, exported, _ = run(capsys, "export", "--data", first)
    copy = tmp_path / "copy.toml"
    copy.write_text(exported)
    status, said, _ = run(capsys, "apply", str(copy), "--data", second, "--json")
    assert status == 0 and "office.test/menu/500" in json.loads(said)["added"]
    assert run(capsys, "export", "--data", second)[1] == exported
    # Idempotent: the same again changes nothing.
    again = json.loads(run(capsys, "apply", str(copy), "--data", first, "--json")[1])
    assert again == {"applied": True, "added": [], "changed": [], "removed": []}


def test_a_bad_file_is_refused_with_its_line_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(tmp_path / "a")
    run(capsys, "apply", str(EXAMPLE), "--data", data)
    before = run(capsys, "export", "--data", data)[1]
    bad = tmp_path / "bad.toml"
    bad.write_text(EXAMPLE.read_text().replace('otherwise = "1001"', 'otherwise = "1999"'))
    status, _, said = run(capsys, "apply", str(bad), "--data", data)
    assert status == 2 and f"{bad}:" in said and "tenant.office.test.menu.500.otherwise: '1999' leads nowhere" in said
    assert run(capsys, "export", "--data", data)[1] == before


def test_every_kind_is_listed_and_shown_without_a_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tmp_path / "a")
    run(capsys, "apply", str(EXAMPLE), "--data", data)
    for kind in KIND_NAMES:
        status, said, _ = run(capsys, "list", kind, "--data", data, "--json")
        assert status == 0
        for row in map(json.loads, said.splitlines()):
            shown, text, _ = run(capsys, "show", row["object"], "--data", data, "--json")
            assert shown == 0 and json.loads(text)["object"] == row["object"]
            assert not any(secret in said + text for secret in ("2468", '"1234"', "9999", "ha1"))


def test_what_is_set_stays_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tmp_path / "a")
    run(capsys, "apply", str(EXAMPLE), "--data", data)
    assert run(capsys, "set", "office.test/1006", "dnd=on", "--data", data)[0] == 0
    assert run(capsys, "set", "office.test/1006", "forward.busy=1007", "--data", data)[0] == 0
    assert run(capsys, "set", "office.test/1006", "ring_s=12", "--data", data)[0] == 0
    assert run(capsys, "set", "office.test/ring_group/600", "ring_s=9", "--data", data)[0] == 0
    assert run(capsys, "set", "office.test/times/office", "override=open", "--data", data)[0] == 0
    extension = json.loads(run(capsys, "show", "office.test/1006", "--data", data, "--json")[1])
    assert (extension["dnd"], extension["forward.busy"], extension["ring_s"]) == ("on", "1007", 12.0)
    group = json.loads(run(capsys, "show", "office.test/ring_group/600", "--data", data, "--json")[1])
    assert group["ring_s"] == 9.0
    run(capsys, "set", "office.test/1006", "dnd", "--data", data)
    assert json.loads(run(capsys, "show", "office.test/1006", "--data", data, "--json")[1])["dnd"] == "off"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("list", "elephants"), 2),
        (("show", "office.test/1999"), 3),
        (("set", "gone.test/1001", "dnd=on"), 3),
        (("set", "office.test/1001", "dnd=maybe"), 2),
        (("set", "office.test/1001", "ring_s=-1"), 2),
    ],
)
def test_what_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int
) -> None:
    data = str(tmp_path / "a")
    run(capsys, "apply", str(EXAMPLE), "--data", data)
    assert run(capsys, *arguments, "--data", data)[0] == status


def test_a_password_that_is_set_replaces_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tmp_path / "a")
    run(capsys, "apply", str(EXAMPLE), "--data", data)
    assert run(capsys, "set", "office.test/1006", "password=a-new-one", "--data", data)[0] == 0
    exported = config.parse(run(capsys, "export", "--data", data)[1], environ={}).tenants[0]
    expected = ha1_of("1006", "office.test", "a-new-one", "MD5")
    assert exported.extensions["1006"].ha1 == (("MD5", expected),)
    status, _, said = run(capsys, "set", "office.test/1006", "password=short", "--data", data)
    assert status == 2 and "give at least 6 characters" in said and "short" not in said.replace("--set", "")


@pytest.mark.parametrize(
    "command", [("list", "tenant"), ("show", "office.test"), ("set", "office.test/1001", "dnd=on"), ("export",)]
)
def test_a_misspelt_data_directory_is_an_error_and_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    status, out, said = run(capsys, *command, "--data", str(tmp_path / "typo"))
    assert (status, out) == (3, "") and "there is no voipat.db in it" in said
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("command", [("export",), ("list", "extension")])
def test_a_misspelt_tenant_is_an_error_and_no_empty_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    data = str(tmp_path / "a")
    run(capsys, "apply", str(EXAMPLE), "--data", data)
    status, out, said = run(capsys, *command, "--tenant", "offce.test", "--data", data)
    assert (status, out, said) == (3, "", "voipat: there is no tenant offce.test\n")


def test_applying_a_file_without_tenants_removes_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tmp_path / "a")
    run(capsys, "apply", str(EXAMPLE), "--data", data)
    server = tmp_path / "server.toml"
    server.write_text("[server]\n")
    status, _, said = run(capsys, "apply", str(server), "--data", data)
    assert (status, said) == (2, f"{server}: names no tenant; nothing was changed\n")
    assert "office.test/1001" in run(capsys, "list", "extension", "--data", data)[1]


def test_of_two_changes_at_once_none_is_lost(tmp_path: Path) -> None:
    """Each reads the tenants when the one before is in force."""

    class Slow:
        """A daemon that takes a moment to put tenants in force."""

        listen = ()
        state = LiveState()
        tenants: Sequence[TenantConfig] = config.parse(EXAMPLE.read_text(), environ={"HOME": "/"}).tenants
        changing = asyncio.Lock()

        async def change(self, make: ChangeOfTenants) -> None:
            async with self.changing:
                made = await asyncio.to_thread(make, self.tenants)
                await asyncio.sleep(0)
                self.tenants = made

    async def rows(command: str, **arguments: object) -> list[Row]:
        return [row async for row in object_rows(book, command, arguments)]

    async def both() -> None:
        await asyncio.gather(
            rows("set", object="office.test/1006", key="name", value="One"),
            rows("set", object="office.test/1007", key="name", value="Two"),
        )

    book = Slow()
    asyncio.run(both())
    extensions = book.tenants[0].extensions
    assert (extensions["1006"].name, extensions["1007"].name) == ("One", "Two")
