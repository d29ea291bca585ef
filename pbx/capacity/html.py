"""The answer as one page: tables and plots, nothing fetched, so that it can be mailed and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from pbx.capacity import report
from pbx.capacity.costs import STAGES, Costs, CostsError
from pbx.capacity.kinds import MEDIA_KINDS
from pbx.capacity.model import TARGET
from pbx.capacity.planner import Demand, Needs, Room, memory_kb
from pbx.capacity.plots import Line, bar_plot, line_plot

STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#22303c;margin:0;background:#f4f6f8}
main{max-width:1080px;margin:0 auto;padding:24px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:34px 0 10px}
p{margin:6px 0}.soft{color:#5a6874}.note{background:#fff3d6;border-left:4px solid #e0a02f;padding:8px 12px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:14px 0}
.tile{background:#fff;border-radius:8px;padding:12px 14px}.tile b{display:block;font-size:24px;color:#1f6f8b}
table{border-collapse:collapse;width:100%;background:#fff;border-radius:8px}
td,th{padding:6px 12px;text-align:left;border-bottom:1px solid #e6eaee;vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(460px,1fr));gap:14px}
svg{background:#fff;border-radius:8px;width:100%}svg text{font:12px system-ui,sans-serif;fill:#33414e}
svg text.t{font-size:14px;font-weight:600}
"""
STEPS: Final = 8
SHORT: Final = {
    "relay": "G.711",
    "srtp": "SRTP",
    "opus": "Opus",
    "g722": "G.722",
    "play": "music",
    "record": "recorded",
}


def write(path: Path, costs: Costs, demand: Demand, needs: Needs, fits: Mapping[str, Room]) -> None:
    """Raises: CostsError."""
    try:
        path.write_text(page(costs, demand, needs, fits))
    except OSError as error:
        raise CostsError(f"{path}: cannot be written: {error.strerror}") from error


def page(costs: Costs, demand: Demand, needs: Needs, fits: Mapping[str, Room]) -> str:
    """The whole page."""
    sections = [
        "<h1>How many calls this machine carries</h1>",
        f'<p class="soft">{escape(costs.machine)}, {costs.memory_kb / 1024 / 1024:.1f} GB of memory. '
        f"{escape(report.measured(costs))}.</p>",
        *(f'<p class="note">{escape(note)}.</p>' for note in costs.notes),
        f"<p><b>{escape(report.answer(demand, needs, fits['users']))}</b></p>",
        "<h2>What these people need</h2>",
        f"<p>{escape(report.habits(demand))}.</p>",
        _tiles(needs),
        _table(("", "", "why"), report.needs_rows(demand, needs)),
        "<h2>What the machine carries</h2>",
        f'<p class="soft">One daemon, a core planned to {TARGET:.0%}; each line by itself.</p>',
        _table(("what", "how many", "what is full then"), _rooms(fits)),
        *([] if costs.knee is None else [f"<p>{escape(report.knee(costs.knee))}.</p>"]),
        "<h2>How it grows</h2>",
        f'<div class="plots">{"".join(plots(costs, demand, needs, fits))}</div>',
        "<h2>What it costs</h2>",
        _table(("what", "CPU", "between (90 %)", "of which"), report.cost_rows(costs)),
        *_small_print(costs),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>voipat capacity</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def plots(costs: Costs, demand: Demand, needs: Needs, fits: Mapping[str, Room]) -> list[str]:
    """Set-up time and CPU over load, CPU of the kinds, CPU and memory over calls up to what fits."""
    curve = costs.curve
    times = [
        Line("median", [(point.rate, point.p50_ms) for point in curve]),
        Line("p99", [(point.rate, point.p99_ms) for point in curve]),
    ]
    stages = [(f"{point.rate:.0f}", {stage: 100 * point.stages[stage] for stage in STAGES}) for point in curve]
    kinds = [
        (SHORT.get(kind.name, kind.name), {stage: 1e3 * costs.costs[kind.name].stages[stage] for stage in STAGES})
        for kind in MEDIA_KINDS
        if kind.name in costs.costs
    ]
    counts = _steps(max(2 * needs.calls, 10))
    planned = [(count, report.stage_shares(costs, demand, count)) for count in counts]
    cpu = [Line(stage, [(count, 100 * used[stage]) for count, used in planned]) for stage in STAGES]
    held = _steps(max(fits["relay"].count if "relay" in fits else 0, needs.calls, 10))
    memory = [Line("daemon", [(count, memory_kb(demand, count, costs) / 1024) for count in held])]
    return [
        line_plot("Set-up time over load", "calls set up a second", "milliseconds (log)", times, log=True),
        bar_plot("CPU by stage as calls are set up", "calls set up a second", "% of one core", stages),
        bar_plot("CPU of calls with media, by kind", "kind of call", "ms of CPU a second", kinds),
        line_plot("CPU for these people, by stage", "calls at one time", "% of one core", cpu),
        line_plot("Memory for these people", "calls at one time", "MB resident", memory),
    ]


def _steps(most: int) -> list[int]:
    return [most * step // STEPS for step in range(STEPS + 1)]


def _tiles(needs: Needs) -> str:
    tiles = {
        "calls at one time": f"{needs.calls}",
        "cores": f"{needs.cores}",
        "memory": f"{needs.memory_mb:.0f} MB",
        "network, each way": f"{needs.bandwidth_mbit:.1f} Mbit/s",
        "trunk channels": f"{needs.trunk_channels}",
        "disk a day": report.octets(needs.recordings_gb_day + needs.cdr_gb_day),
    }
    shown = "".join(f'<div class="tile"><b>{value}</b>{name}</div>' for name, value in tiles.items())
    return f'<div class="tiles">{shown}</div>'


def _rooms(fits: Mapping[str, Room]) -> list[tuple[str, str, str]]:
    return [
        (report.ROOM_TITLES[name], f"{room.count:,} ({room.low:,} – {room.high:,})", room.limit or "nothing")
        for name, room in fits.items()
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The second column is of numbers."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if index == 1 else ''}>{escape(cell)}</{tag}>" for index, cell in enumerate(row)
        )

    head = f"<tr>{cells('th', heads)}</tr>" if any(heads) else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def _small_print(costs: Costs) -> list[str]:
    found = [
        f"<p>{escape(report.woken(costs).capitalize())}.</p>",
        f"<p>A registered phone takes {costs.binding_kb:.1f} kB, a call {costs.call_kb:.0f} kB, the daemon alone "
        f"{costs.base_kb / 1024:.0f} MB.</p>",
        "<h2>Whether to believe it</h2>",
        f"<p>The load: {escape(costs.proof)}.</p>",
    ]
    found += [f"<p>{escape(report.checked(check))} It was {escape(check.parts)}.</p>" for check in costs.checks]
    heard = [
        (
            report.title_of(name, costs.costs),
            f"{one.mos:.2f}",
            f"{one.loss:.2%}",
            f"{one.jitter_ms:.1f} ms",
            "–" if one.delay_p99_ms is None else f"{one.delay_p99_ms:.1f} ms",
        )
        for name, one in costs.quality.items()
    ]
    found.append(_table(("media", "MOS", "loss", "jitter", "delay from phone to phone, p99"), heard))
    return found
