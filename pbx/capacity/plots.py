"""Plots as SVG: lines over a number, bars in parts. Axes have titles with units; nothing is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 34, 52
COLOURS: Final = ("#1f6f8b", "#e07a2f", "#5b8c3e", "#8a4f9e")
GRID, TEXT = "#d9dee3", "#33414e"


@dataclass(frozen=True, slots=True)
class Line:
    """Points from left to right."""

    name: str
    points: Sequence[tuple[float, float]]


def line_plot(title: str, x_title: str, y_title: str, lines: Sequence[Line], *, log: bool = False) -> str:
    """Lines over a number; `log` for values that range over decades."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    if not xs:
        return ""
    x_ticks = _ticks(max(xs))
    y_ticks = _decades(min(ys), max(ys)) if log else _ticks(max(ys))

    def across(x: float) -> float:
        return LEFT + x / x_ticks[-1] * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        if log:
            low, high = log10(y_ticks[0]), log10(y_ticks[-1])
            share = (log10(max(y, y_ticks[0])) - low) / (high - low)
        else:
            share = y / y_ticks[-1]
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [_frame(title, x_title, y_title)]
    parts += [_mark_y(up(tick), tick) for tick in y_ticks] + [_mark_x(across(tick), f"{tick:g}") for tick in x_ticks]
    for index, line in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in line.points]
    parts.append(_legend([line.name for line in lines]))
    return _svg(title, parts)


def bar_plot(title: str, x_title: str, y_title: str, bars: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """A bar for each name, of parts on top of each other."""
    if not bars:
        return ""
    names = list(dict.fromkeys(part for _, parts in bars for part in parts))
    ticks = _ticks(max(sum(parts.values()) for _, parts in bars))
    span = (WIDTH - LEFT - RIGHT) / len(bars)
    drawn = [_frame(title, x_title, y_title)]
    floor_y, scale = HEIGHT - BOTTOM, (HEIGHT - TOP - BOTTOM) / ticks[-1]
    drawn += [_mark_y(floor_y - tick * scale, tick) for tick in ticks]
    for index, (label, parts) in enumerate(bars):
        middle, base = LEFT + span * (index + 0.5), float(floor_y)
        for part, value in parts.items():
            height = value * scale
            base -= height
            colour = COLOURS[names.index(part) % len(COLOURS)]
            drawn.append(
                f'<rect x="{middle - span * 0.32:.1f}" y="{base:.1f}" width="{span * 0.64:.1f}" height="{height:.1f}" '
                f'fill="{colour}"><title>{escape(label)}, {escape(part)}: {value:.3g}</title></rect>'
            )
        drawn.append(_mark_x(middle, label))
    drawn.append(_legend(names) if len(names) > 1 else "")
    return _svg(title, drawn)


def _ticks(most: float) -> list[float]:
    """From 0 to the next round number above, four to six of them."""
    most = most or 1.0
    step = 10 ** floor(log10(most))
    step = next(step * part for part in (0.2, 0.25, 0.5, 1, 2) if most / (step * part) <= 6)
    return [round(step * number, 9) for number in range(ceil(most / step - 1e-9) + 1)]


def _decades(least: float, most: float) -> list[float]:
    low, high = floor(log10(max(least, 0.1))), ceil(log10(max(most, 1.0)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def _frame(title: str, x_title: str, y_title: str) -> str:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return (
        f'<text x="{LEFT}" y="18" class="t">{escape(title)}</text>'
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_title)}</text>'
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">{escape(y_title)}</text>'
        f'<line x1="{LEFT}" y1="{HEIGHT - BOTTOM}" x2="{WIDTH - RIGHT}" y2="{HEIGHT - BOTTOM}" stroke="{TEXT}"/>'
    )


def _mark_y(y: float, value: float) -> str:
    return (
        f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    )


def _mark_x(x: float, label: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{escape(label)}</text>'


def _legend(names: Sequence[str]) -> str:
    parts, x = [], float(WIDTH - RIGHT)
    for index, name in reversed(list(enumerate(names))):
        x -= 7.2 * len(name) + 26
        parts.append(
            f'<rect x="{x:.0f}" y="9" width="11" height="11" fill="{COLOURS[index % len(COLOURS)]}"/>'
            f'<text x="{x + 16:.0f}" y="19">{escape(name)}</text>'
        )
    return "".join(parts)


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
