"""The media engine in a process of its own: reads "COUNT PHONES_FROM MODE", opens sessions, prints the ports as JSON.

MODE "rtp": A ─ voipat ─ B. "srtp": A ─ RTP ─ voipat ═ SRTP ═ voipat ─ RTP ─ B, so that each packet is relayed twice:
it is sealed once and opened once.
"""

from __future__ import annotations

import json
import os
import resource
import sys

from media import Engine, SrtpKeys
from media.keys import AES_CM_80


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


def open_sealed_sessions(engine: Engine, count: int, phones_from: int) -> list[int]:
    """As `open_sessions`, each over two ports in the middle that speak SRTP with each other."""
    phones = []
    for index in range(count):
        made = [engine.open_port("127.0.0.1", ssrc=4 * index + n + 1, sequence=1, timestamp=1) for n in range(4)]
        a, near, far, b = made
        remotes = [phones_from + 2 * index, far.rtp_port, near.rtp_port, phones_from + 2 * index + 1]
        for port, remote in zip(made, remotes, strict=True):
            engine.set_remote(port, ("127.0.0.1", remote), payload_types={0, 101}, telephone_event=101)
        there, back = os.urandom(AES_CM_80.material), os.urandom(AES_CM_80.material)
        engine.secure(near, SrtpKeys(AES_CM_80, there, back))
        engine.secure(far, SrtpKeys(AES_CM_80, back, there))
        for one, other in ((a, near), (far, b)):
            engine.connect(one, other, a_to_b={0: 0, 101: 101}, b_to_a={0: 0, 101: 101})
        phones += [a.rtp_port, b.rtp_port]
    return phones


def main() -> None:
    low, high = map(int, sys.argv[1:])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Engine(port_range=(low, high)) as engine:
        print("[]", flush=True)
        for line in sys.stdin:
            count, phones_from, mode = line.split()
            open_them = open_sealed_sessions if mode == "srtp" else open_sessions
            print(json.dumps(open_them(engine, int(count), int(phones_from))), flush=True)


if __name__ == "__main__":
    main()
