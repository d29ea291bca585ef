"""The control socket: how the command line talks to the running daemon.

A Unix socket of mode 0600 in the data directory. One connection carries one request, a JSON object on one line
`{"command": "calls", …}`, and its answer, one object a line: `{"row": {…}}` for each row, then `{"end": count}` or
`{"error": text, "exit": status}`. Rows are made as the client reads them, so a listing of any length needs no
memory here, and a client that stops reading is cut off.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping
from pathlib import Path

from pbx.logs import trace_of
from pbx.output import Row, json_line

SOCKET_NAME = "control.sock"
# The tenants of `voipat apply` are one line: some hundred bytes for each of tens of thousands of extensions. Only our
# own user and root are read from.
MAX_REQUEST = 16 * 1024 * 1024
# A message of 64 kB of control characters, each six bytes in JSON, still is one line.
MAX_LINE = 512 * 1024
MAX_CLIENTS = 32
REQUEST_TIMEOUT = 10.0
WRITE_TIMEOUT = 30.0
LAST_ROWS_TIMEOUT = 0.2
CLIENT_TIMEOUT = 60.0
ROWS_PER_TURN = 100
# sockaddr_un.sun_path holds 108 bytes with the terminating zero.
MAX_SOCKET_PATH = 107

Arguments = Mapping[str, object]
Command = Callable[[Arguments], AsyncIterator[Row]]

logger = logging.getLogger(__name__)


class ControlError(Exception):
    """A command that could not be done; `exit_status` is what the command line ends with."""

    def __init__(self, message: str, *, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class NotRunningError(ControlError):
    """No daemon answers on the control socket of this data directory."""

    def __init__(self, data: Path) -> None:
        super().__init__(f"no voipat runs on the data directory {data}", exit_status=3)


class ControlServer:
    """Serves `commands` on the control socket of a data directory whose lock the caller holds.

    Those of `end_with_asker` are cancelled when who asked goes away; the others go on to their end.
    """

    def __init__(self, data: Path, commands: Mapping[str, Command], *, end_with_asker: Collection[str] = ()) -> None:
        self._data = data
        self._end_with_asker = frozenset(end_with_asker)
        self._commands = dict(commands)
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self.refused = 0

    @property
    def clients(self) -> int:
        """Connections open now."""
        return len(self._clients)

    async def start(self) -> None:
        """Binds the socket, replacing one that a crash left behind.

        Raises: ControlError.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with _SocketPath(self._data) as path:
                Path(path).unlink(missing_ok=True)
                _bind_private(listener, path)
            self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=MAX_REQUEST)
        except OSError as error:
            listener.close()
            raise ControlError(f"control socket in {self._data}: {error.strerror or error}") from error

    def retire(self) -> None:
        """Takes no new client and removes the socket; clients under way go on.

        To be called while the data directory is still ours: afterwards the name may belong to the next daemon.
        """
        if self._server is None:
            return
        self._server.close()
        self._server = None
        with _SocketPath(self._data) as path:
            Path(path).unlink(missing_ok=True)

    async def close(self) -> None:
        """Retires, and ends every connection; one whose last rows are on their way gets a moment."""
        self.retire()
        if not self._clients:
            return
        _, late = await asyncio.wait(tuple(self._clients), timeout=LAST_ROWS_TIMEOUT)
        for client in late:
            client.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs a connection callback as a task"
        if len(self._clients) >= MAX_CLIENTS or not _is_own_peer(writer):
            self.refused += 1
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass  # the client is gone, or we are closing: its answer interests nobody
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                line = await _request_line(reader)
            if not line:
                return
            name, arguments = self._request(line)
            sending = self._send_rows(writer, self._commands[name](arguments))
            count = await (_while_there(reader, sending) if name in self._end_with_asker else sending)
            await _send(writer, {"end": count})
        except (ControlError, ValueError) as error:
            status = error.exit_status if isinstance(error, ControlError) else 2
            await _send(writer, {"error": str(error), "exit": status})
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            logger.exception("control command failed")
            await _send(writer, {"error": f"internal error, trace {trace_of(error)} in the log", "exit": 1})

    def _request(self, line: bytes) -> tuple[str, Arguments]:
        try:
            request = json.loads(line)
        except ValueError as error:
            raise ControlError("the request is not JSON", exit_status=2) from error
        if not isinstance(request, dict) or not isinstance(request.get("command"), str):
            raise ControlError("the request names no command", exit_status=2)
        if request["command"] not in self._commands:
            raise ControlError(f"this daemon has no command {request['command']!r}", exit_status=2)
        return request["command"], {name: value for name, value in request.items() if name != "command"}

    async def _send_rows(self, writer: asyncio.StreamWriter, rows: AsyncIterator[Row]) -> int:
        count = 0
        async for row in rows:
            writer.write(f'{{"row": {json_line(row)}}}\n'.encode())
            count += 1
            if count % ROWS_PER_TURN == 0:
                await _drained(writer)
                await asyncio.sleep(0)  # calls go first: a listing of everything gives way after each hundred
        return count


async def _request_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        raise _too_long() from None


def _too_long() -> ControlError:
    return ControlError(f"the request is longer than {MAX_REQUEST} bytes", exit_status=2)


async def _while_there(reader: asyncio.StreamReader, work: Coroutine[object, object, int]) -> int:
    """What `work` comes to; cancelled when the client hangs up. Raises: ConnectionResetError."""
    working, going = asyncio.ensure_future(work), asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((working, going), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ConnectionResetError("who asked is gone")
        return working.result()
    finally:
        for each in (working, going):
            each.cancel()
        await asyncio.gather(working, going, return_exceptions=True)


def request(data: Path, command: str, arguments: Arguments, *, timeout: float | None = CLIENT_TIMEOUT) -> Iterator[Row]:
    """Rows of the daemon's answer, as they come.

    Raises: NotRunningError, ControlError.
    """
    line = json.dumps({**arguments, "command": command}).encode() + b"\n"
    if len(line) > MAX_REQUEST:
        raise _too_long()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        try:
            with _SocketPath(data) as path:
                client.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            raise NotRunningError(data) from error
        except OSError as error:
            raise ControlError(f"control socket in {data}: {error.strerror or error}") from error
        try:
            client.sendall(line)
            with client.makefile("rb") as stream:
                yield from _rows_of(stream.readline)
        except TimeoutError as error:
            raise ControlError(f"the daemon did not answer within {timeout:g} s") from error
        except OSError as error:
            raise ControlError(f"the daemon closed the connection: {error.strerror or error}") from error


def _rows_of(readline: Callable[[int], bytes]) -> Iterator[Row]:
    while line := readline(MAX_LINE):
        answer = json.loads(line)
        if "row" in answer:
            yield answer["row"]
        elif "error" in answer:
            raise ControlError(str(answer["error"]), exit_status=int(answer.get("exit", 1)))
        else:
            return
    raise ControlError("the daemon ended before its answer did")


class _SocketPath:
    """A path of the control socket that fits in `sun_path`: through a descriptor of the directory when it is long."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._directory = -1

    def __enter__(self) -> str:
        path = str(self._data / SOCKET_NAME)
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
            return path
        self._directory = os.open(self._data, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._directory}/{SOCKET_NAME}"

    def __exit__(self, *_: object) -> None:
        if self._directory >= 0:
            os.close(self._directory)


def _bind_private(listener: socket.socket, path: str) -> None:
    # fchmod before bind decides the mode of the node on Linux, so there is no moment at which others may connect.
    os.fchmod(listener.fileno(), stat.S_IRUSR | stat.S_IWUSR)
    listener.bind(path)
    os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)


def _is_own_peer(writer: asyncio.StreamWriter) -> bool:
    """Whether the client is our own user or root: the mode says so too, unless somebody loosened it."""
    peer = writer.get_extra_info("socket")
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return uid in (0, os.geteuid())


async def _send(writer: asyncio.StreamWriter, answer: Row) -> None:
    writer.write(json_line(answer).encode() + b"\n")
    await _drained(writer)


async def _drained(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT):
        await writer.drain()
