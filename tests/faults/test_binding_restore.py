"""A hundred thousand bindings survive `kill -9`, and are back for less CPU than they took to keep (R2)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pbx.persistence import BindingKeeper, restore_bindings
from pbx.store.sqlite import SqliteStore
from pbx.tenants import TenantConfig
from sipcore.flow import Address, Flow
from voipat.location import Binding, MemoryLocation

COUNT = 100_000
EXPIRES_AT = 4_000_000_000.0
DOMAIN = "office.test"


def write_and_die(directory: Path, cpu: Any) -> None:
    began = time.process_time()
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
    cpu.value = time.process_time() - began
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_hundred_thousand_bindings_are_back_in_less_cpu_than_it_took_to_keep_them(tmp_path: Path) -> None:
    spawning = multiprocessing.get_context("spawn")
    cpu = spawning.Value("d")
    writer = spawning.Process(target=write_and_die, args=(tmp_path, cpu))
    writer.start()
    writer.join(600)
    assert writer.exitcode == -signal.SIGKILL
    began = time.process_time()
    store = SqliteStore.open(tmp_path, wallclock=lambda: 1000.0)
    try:
        location = MemoryLocation()
        restore_bindings(location, store, [DOMAIN], 1000.0)
        spent = time.process_time() - began
    finally:
        store.close(5.0)
    print(f"{len(location)} bindings, {spent:.2f} s of CPU; kept in {cpu.value:.2f} s")
    assert len(location) == COUNT and spent < cpu.value
    assert location.bindings(DOMAIN, f"sip:4711@{DOMAIN}", 1000.0)[0].expires_at == EXPIRES_AT + 4711
