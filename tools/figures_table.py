"""The figures of README.md out of bench/RESULTS.md: nobody types them, `make docs` writes and `make check` looks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "RESULTS.md"
NOTHING = "–"
VERDICT, BESIDE = 4, 6  # columns of a speed table


@dataclass(frozen=True, slots=True)
class Figure:
    """One of RESULTS: of a scenario, of the server whose name begins so, and what beside its cost ("")."""

    scenario: str
    who: str = "voipat"
    what: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One of README: the words between the figures stand in `ours` and `beside`, each {} is the next figure."""

    work: str
    ours: str
    figures: tuple[Figure, ...]
    beside: str = ""
    others: tuple[Figure, ...] = ()


P99 = "INVITE to 200, p99"
ROWS = (
    Row(
        "parse a 1.2 kB INVITE with SDP, read what a B2BUA needs, change two headers, serialize",
        "{}",
        (Figure("message", "", "parse, read, change two headers, serialize"),),
    ),
    Row(
        "digest REGISTER (401 + 200), 5,000 AORs, 3,000/s",
        "{}",
        (Figure("register"),),
        "Kamailio {}",
        (Figure("register", "kamailio"),),
    ),
    Row(
        "proxied call with digest and CDR / without both, 100/s",
        "{} / {}",
        (Figure("proxied"), Figure("proxied-open")),
        "Kamailio {} / {}",
        (Figure("proxied", "kamailio"), Figure("proxied-open", "kamailio")),
    ),
    Row(
        "B2BUA call: digest INVITE, media anchored, CDR, 100/s",
        "{}, p99 of the set-up {}",
        (Figure("call"), Figure("call", what=P99)),
        "Asterisk {}, {}",
        (Figure("call", "Asterisk"), Figure("call", "Asterisk", P99)),
    ),
    Row(
        "B2BUA calls on one core with p99 of at most 20 ms added, none failed",
        "{}",
        (Figure("sustained", what="sustained rate"),),
    ),
    Row(
        "IVR call: answer, 3 s of prompt, one digit",
        "{}",
        (Figure("ivr"),),
        "Asterisk {}",
        (Figure("ivr", "Asterisk"),),
    ),
    Row(
        "relay one G.711 packet, 500 calls, 50,000 packets/s",
        "{}",
        (Figure("relay"),),
        "bare C {}, rtpengine {}",
        (Figure("relay", "bare C"), Figure("relay", "rtpengine")),
    ),
    Row(
        "relay one packet between RTP and SRTP",
        "{}",
        (Figure("srtp"),),
        "rtpengine {}",
        (Figure("srtp", "rtpengine"),),
    ),
    Row(
        "transcode one packet PCMU↔Opus, same settings",
        "{}",
        (Figure("transcode"),),
        "rtpengine {}",
        (Figure("transcode", "rtpengine"),),
    ),
    Row(
        "play one shared prompt on 500 channels, per packet",
        "{}",
        (Figure("prompt"),),
        "bare C `sendto` {}",
        (Figure("prompt", "bare C"),),
    ),
    Row(
        "a party of a conference of 50, all sending, 20 ms",
        "{}",
        (Figure("room"),),
        "Asterisk {}",
        (Figure("room", "Asterisk"),),
    ),
    Row(
        "memory per binding / per call with its ports",
        "{} / {}",
        (Figure("register", what="memory per binding"), Figure("standing")),
        "Kamailio {} / Asterisk {}",
        (Figure("register", "kamailio", "memory per binding"), Figure("standing", "Asterisk")),
    ),
    Row(
        "start with 10,000 extensions, memory then",
        "{}, {}",
        (Figure("restart"), Figure("restart", what="resident memory, idle")),
        "Asterisk {}, {}",
        (Figure("restart", "Asterisk"), Figure("restart", "Asterisk", "resident memory, idle")),
    ),
)


def render(results: str) -> str:
    """The lines between the marks of README. Raises: ValueError."""
    found = dict(_figures(results))
    made = re.search(r"^.+ cores, Linux .+, commit \w+\..*minutes.*$", results, re.MULTILINE)
    if made is None:
        raise ValueError(f"{RESULTS.name} does not say on which machine it was made")
    machine, _, took = made[0].partition(". ")
    lines = [
        f"Taken by `make bench` on {machine} ({took.rstrip('.')}),",
        "everything on as shipped, each server in turns with its peer; runs, losses and commands stand in",
        "[bench/RESULTS.md](bench/RESULTS.md). CPU is that of the server; the generator is another process.",
        "",
        "| work | voipat | beside it, in the same run |",
        "| --- | --- | --- |",
    ]
    for row in ROWS:
        ours = row.ours.format(*(_shown(found, figure) for figure in row.figures))
        beside = row.beside.format(*(_shown(found, figure) for figure in row.others))
        lines.append(f"| {row.work} | {ours} | {beside} |")
    return "\n".join([*lines, "", *_missed(results)])


def _figures(results: str) -> Iterator[tuple[tuple[str, str, str], str]]:
    """(scenario, server with its version, what) → value with its unit, of each line of each scenario's table."""
    scenario = title = ""
    for line in results.splitlines():
        if head := re.fullmatch(r"## ([\w-]+): (.*)", line):
            scenario, title = head[1], head[2]
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if not scenario or len(cells) != 4 or cells[0] in ("what", "---"):
            continue
        who, colon, what = cells[0].partition(": ")
        who, what = (who, what) if colon else ("", cells[0])
        yield (scenario, who, "" if what == title else what), cells[1]


def _shown(found: Mapping[tuple[str, str, str], str], wanted: Figure) -> str:
    for (scenario, who, what), value in found.items():
        is_server = who.startswith(wanted.who) and " / " not in who and " − " not in who
        if (scenario, what) == (wanted.scenario, wanted.what) and is_server:
            return value.removesuffix(" CPU").replace(" cps", "/s")
    return NOTHING


def _missed(results: str) -> Iterator[str]:
    """What the speed tables say of the targets."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in results.splitlines()]
    judged = [row for row in rows if len(row) == 8 and row[0] not in ("work", "---")]
    with_target = [row for row in judged if row[1]]
    met = [row for row in with_target if row[VERDICT].startswith(("met", "goal met"))]
    yield f"**Targets**: {len(met)} of {len(with_target)} are met. Not met or not measured:"
    yield ""
    for row in with_target:
        if row not in met:
            beside = f"; beside the peer, then allowed / now: {row[BESIDE]}" if row[BESIDE] else ""
            yield f"- {row[0]}: {row[3]}, target {row[1]}{beside}"
