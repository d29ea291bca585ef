"""A hundred thousand bindings survive `kill -9`, and are back by a bounded number of steps each (R2)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest

from pbx.persistence import BindingKeeper, restore_bindings
from pbx.store.sqlite import SqliteStore
from pbx.tenants import TenantConfig
from sipcore.flow import Address, Flow
from voipat.location import Binding, MemoryLocation

COUNT = 100_000
EXPIRES_AT = 4_000_000_000.0
DOMAIN = "office.test"


def write_and_die(directory: Path) -> None:
    store = SqliteStore.open(directory, wallclock=lambda: 1000.0)
    store.save_tenants([TenantConfig(DOMAIN)])
    keeper = BindingKeeper(store)
    for number in range(COUNT):
        remote = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 5060)
        flow = Flow("UDP", Address("127.0.0.1", 5060), remote)
        aor = f"sip:{number}@{DOMAIN}"
        keeper.binding_saved(Binding(DOMAIN, aor, aor, flow, "c", 1, EXPIRES_AT + number, user_agent="phone/1"))
        if number % 2000 == 0:
            store.flush(60.0)
    store.flush(120.0)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_hundred_thousand_bindings_are_back_after_a_kill(tmp_path: Path) -> None:
    writer = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(tmp_path,))
    writer.start()
    writer.join(600)
    assert writer.exitcode == -signal.SIGKILL
    store = SqliteStore.open(tmp_path, wallclock=lambda: 1000.0)
    calls = 0

    def count(_frame: object, what: str, _: object) -> None:
        nonlocal calls
        calls += what in ("call", "c_call")

    try:
        location = MemoryLocation()
        sys.setprofile(count)
        try:
            restore_bindings(location, store, [DOMAIN], 1000.0)
        finally:
            sys.setprofile(None)
    finally:
        store.close(5.0)
    print(f"{calls / COUNT:.1f} calls of functions for a binding")
    assert len(location) == COUNT
    assert all(
        location.bindings(DOMAIN, f"sip:{number}@{DOMAIN}", 1000.0)[0].expires_at == EXPIRES_AT + number
        for number in range(COUNT)
    )
    # 13 µs of CPU each where it was measured; what is quadratic or asks the store once a binding is far above this.
    assert calls < 80 * COUNT
