"""The media engine in a process of its own: reads "COUNT PHONES_FROM", opens the sessions, prints the ports as JSON."""

from __future__ import annotations

import json
import resource
import sys

from media import Engine


def open_sessions(engine: Engine, count: int, phones_from: int) -> list[int]:
    """Ports in pairs, each pair relayed, every rule on."""
    ports = []
    for index in range(2 * count):
        phone = ("127.0.0.1", phones_from + index)
        ports.append(engine.open_port("127.0.0.1", remote=phone, ssrc=index + 1, sequence=1, timestamp=1))
        engine.set_remote(ports[-1], phone, payload_types={0, 101}, telephone_event=101)
        if index % 2:
            engine.connect(ports[-2], ports[-1], a_to_b={0: 0, 101: 101}, b_to_a={0: 0, 101: 101})
    return [port.rtp_port for port in ports]


def main() -> None:
    low, high = map(int, sys.argv[1:])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Engine(port_range=(low, high)) as engine:
        print("[]", flush=True)
        for line in sys.stdin:
            count, phones_from = map(int, line.split())
            print(json.dumps(open_sessions(engine, count, phones_from)), flush=True)


if __name__ == "__main__":
    main()
