"""The control socket: private, bounded, one request and a stream of rows."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pbx import control
from pbx.control import Arguments, ControlError, ControlServer, NotRunningError
from pbx.output import Row


async def count_up(arguments: Arguments) -> AsyncIterator[Row]:
    for number in range(int(str(arguments["to"]))):
        yield {"number": number}


async def refuse(arguments: Arguments) -> AsyncIterator[Row]:
    raise ControlError("no such call", exit_status=3)
    yield {}


async def broken(arguments: Arguments) -> AsyncIterator[Row]:
    yield {"number": 1}
    raise KeyError("secret detail")


COMMANDS = {"count": count_up, "refuse": refuse, "broken": broken}


def ask(data: Path, command: str, **arguments: object) -> list[Row]:
    async def conversation() -> list[Row]:
        server = ControlServer(data, COMMANDS)
        await server.start()
        try:
            return await asyncio.to_thread(lambda: list(control.request(data, command, arguments)))
        finally:
            await server.close()

    return asyncio.run(conversation())


def exchange(data: Path, raw: bytes) -> bytes:
    """The bytes that the server answers to `raw`."""

    def client() -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5.0)
            connection.connect(str(data / control.SOCKET_NAME))
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    async def conversation() -> bytes:
        server = ControlServer(data, COMMANDS)
        await server.start()
        try:
            return await asyncio.to_thread(client)
        finally:
            await server.close()

    return asyncio.run(conversation())


def test_rows_stream_in_order_and_end(tmp_path: Path) -> None:
    assert ask(tmp_path, "count", to=250) == [{"number": number} for number in range(250)]


def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    assert ask(tmp_path, "count", to=0) == []


def test_a_refused_command_carries_its_exit_status(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no such call") as caught:
        ask(tmp_path, "refuse")
    assert caught.value.exit_status == 3


def test_an_unknown_command_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no command 'dance'") as caught:
        ask(tmp_path, "dance")
    assert caught.value.exit_status == 2


def test_a_bug_in_a_command_is_one_line_with_a_trace_and_no_detail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ControlError, match=r"internal error, trace [0-9a-f]{8} in the log") as caught:
        ask(tmp_path, "broken")
    assert "secret detail" not in str(caught.value)
    assert "control command failed" in caplog.text


def test_nobody_there_is_said_and_exits_with_3(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match=str(tmp_path)) as caught:
        list(control.request(tmp_path, "calls", {}))
    assert caught.value.exit_status == 3


def test_a_socket_left_by_a_crash_is_nobody_and_is_replaced_at_start(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / control.SOCKET_NAME))
        dead.listen()
    with pytest.raises(NotRunningError):
        list(control.request(tmp_path, "calls", {}))
    assert ask(tmp_path, "count", to=1) == [{"number": 0}]


def test_the_socket_is_private_and_removed_at_close(tmp_path: Path) -> None:
    async def conversation() -> int:
        server = ControlServer(tmp_path, COMMANDS)
        await server.start()
        mode = (tmp_path / control.SOCKET_NAME).stat().st_mode
        await server.close()
        return mode

    assert stat.S_IMODE(asyncio.run(conversation())) == 0o600
    assert not (tmp_path / control.SOCKET_NAME).exists()


def test_a_data_directory_with_a_long_name_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    assert ask(deep, "count", to=2) == [{"number": 0}, {"number": 1}]


@pytest.mark.parametrize("raw", [b"hello\n", b"[]\n", b"{}\n", b'{"command": 5}\n', b'{"command":\n', b"\xff\xfe\n"])
def test_what_is_not_a_request_gets_one_error_line(tmp_path: Path, raw: bytes) -> None:
    answer = json.loads(exchange(tmp_path, raw))
    assert answer["exit"] == 2


def test_a_request_over_the_limit_is_an_error_not_memory(tmp_path: Path) -> None:
    answer = json.loads(exchange(tmp_path, b'{"command": "' + b"x" * control.MAX_REQUEST))
    assert answer == {"error": f"the request is longer than {control.MAX_REQUEST} bytes", "exit": 2}


def test_a_request_over_the_limit_is_said_before_it_is_sent(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=f"longer than {control.MAX_REQUEST} bytes") as refused:
        ask(tmp_path, "count", to=2, text="x" * control.MAX_REQUEST)
    assert refused.value.exit_status == 2


def test_the_tenants_of_ten_thousand_extensions_are_one_request(tmp_path: Path) -> None:
    text = "\n".join(f'{number} = "a-password-of-{number}"' for number in range(10_000, 20_000))
    assert ask(tmp_path, "count", to=2, text=text) == [{"number": 0}, {"number": 1}]


def test_a_client_that_says_nothing_gets_nothing(tmp_path: Path) -> None:
    assert exchange(tmp_path, b"") == b""


def test_more_clients_than_the_limit_are_closed_and_counted(tmp_path: Path) -> None:
    async def conversation() -> tuple[int, bytes]:
        server = ControlServer(tmp_path, COMMANDS)
        await server.start()
        path = str(tmp_path / control.SOCKET_NAME)
        waiting = [await asyncio.open_unix_connection(path) for _ in range(control.MAX_CLIENTS)]
        reader, extra = await asyncio.open_unix_connection(path)
        answer = await asyncio.wait_for(reader.read(), 5.0)
        for _, writer in (*waiting, (reader, extra)):
            writer.close()
        await server.close()
        return server.refused, answer

    assert asyncio.run(conversation()) == (1, b"")


def test_a_client_that_waits_gets_its_last_row_after_the_server_retired(tmp_path: Path) -> None:
    async def conversation() -> list[Row]:
        ended = asyncio.Event()

        async def wait(arguments: Arguments) -> AsyncIterator[Row]:
            started.set()
            await ended.wait()
            yield {"ended": True}

        started = asyncio.Event()
        server = ControlServer(tmp_path, {"wait": wait})
        await server.start()
        waiting = asyncio.create_task(asyncio.to_thread(lambda: list(control.request(tmp_path, "wait", {}))))
        await started.wait()
        server.retire()
        assert not (tmp_path / control.SOCKET_NAME).exists()
        ended.set()
        await server.close()
        return await waiting

    assert asyncio.run(conversation()) == [{"ended": True}]


def test_closing_cuts_off_a_client_whose_command_never_ends(tmp_path: Path) -> None:
    async def conversation() -> None:
        async def forever(arguments: Arguments) -> AsyncIterator[Row]:
            yield {"number": 1}
            await asyncio.Event().wait()

        server = ControlServer(tmp_path, {"forever": forever})
        await server.start()
        rows = control.request(tmp_path, "forever", {})
        pending = asyncio.create_task(asyncio.to_thread(lambda: list(rows)))
        while not server.clients:
            await asyncio.sleep(0)
        await server.close()
        with pytest.raises(ControlError, match="ended before its answer did"):
            await pending

    asyncio.run(conversation())


@pytest.mark.parametrize("ends", [True, False])
def test_a_command_may_end_with_who_asked(tmp_path: Path, ends: bool) -> None:
    async def conversation() -> str:
        going, told = asyncio.Event(), asyncio.get_running_loop().create_future()

        async def rings(arguments: Arguments) -> AsyncIterator[Row]:
            yield {"state": "ringing"}
            try:
                await going.wait()
            except asyncio.CancelledError:
                told.set_result("cancelled")
                raise
            told.set_result("went on")

        server = ControlServer(tmp_path, {"call": rings}, end_with_asker=("call",) if ends else ())
        await server.start()
        reader, writer = await asyncio.open_unix_connection(tmp_path / control.SOCKET_NAME)
        writer.write(b'{"command": "call"}\n')
        if not ends:
            await reader.readline()
        writer.close()
        await writer.wait_closed()
        if not ends:
            going.set()
        result = await asyncio.wait_for(told, 20)
        await server.close()
        return str(result)

    assert asyncio.run(conversation()) == ("cancelled" if ends else "went on")
