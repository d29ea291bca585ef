"""What a test starts ends with it, also when it does not start well."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.rig import processes, server
from tests.interop import contract_office


def test_a_daemon_that_never_gets_ready_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[processes.Process] = []

    class Noted(processes.Process):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            started.append(self)

    def never(*_: object) -> None:
        raise AssertionError("not within the time")

    monkeypatch.setattr(server, "Process", Noted)
    monkeypatch.setattr(processes, "wait_until", never)
    with pytest.raises(AssertionError, match="not within the time"):
        server.Server(tmp_path, command=("/bin/sh", "-c", "exec sleep 60"))
    assert [each.alive() for each in started] == [False]


def test_an_office_whose_phone_does_not_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the end of one phone keep the others from theirs."""
    alive: set[str] = set()

    class Phone:
        def __init__(self, directory: Path, *, user: str, **_: object) -> None:
            self.user = user
            alive.add(user)

        def wait_registered(self) -> None:
            assert self.user != "1003", "1003 is not registered"

        def close(self) -> None:
            alive.discard(self.user)
            assert self.user != "1002", "1002 does not end"

    def start(directory: Path, **_: object) -> SimpleNamespace:
        alive.add("daemon")
        return SimpleNamespace(address="127.0.0.1:5060", close=lambda: alive.discard("daemon"))

    monkeypatch.setattr(contract_office, "Baresip", Phone)
    monkeypatch.setattr(contract_office, "Server", start)
    with pytest.raises(AssertionError, match="1002 does not end") as failed:
        contract_office.ContractOffice(tmp_path, there=("1001", "1002", "1003"))
    assert "1003 is not registered" in str(failed.value.__context__) and alive == set()
    office = contract_office.ContractOffice(tmp_path, there=("1001", "1002"))
    office.phone("1004")
    assert alive == {"daemon", "1001", "1002", "1004"}
    with pytest.raises(AssertionError, match="1002 does not end"):
        office.close()
    assert alive == set()
