"""Charts as inline SVG: no library, no script; colours come from the page, light or dark."""

import math
from collections.abc import Sequence
from html import escape

from nnunetv2_pcrl.monitoring.charts import Curve, Plot

WIDTH, HEIGHT = 460, 262
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 20, 32
NUM_COLOURS = 8
# More points than this on a curve get no mark to point at.
MOST_MARKS = 400


def line_chart(plot: Plot, first_epoch: int = 1) -> str:
    """A figure: title, explanation, curves over epochs, legend. Pointing at a value shows it.

    Args:
        plot: at least one finite value.
        first_epoch: number of the first value.
    """
    chart, curves, num_epochs = plot.chart, plot.curves, plot.num_epochs
    values = [v for curve in curves for v in curve.values if math.isfinite(v)]
    low, high = min(values), max(values)
    if chart.from_zero:
        low = min(0.0, low)
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def x(epoch: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (epoch + 0.5 * (num_epochs == 1)) / max(
            1, num_epochs - 1
        )

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">']
    for tick in ticks:
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" '
            f'y2="{y(tick):.1f}"/><text x="{LEFT - 6}" y="{y(tick) + 3.5:.1f}" '
            f'text-anchor="end">{tick:g}</text>'
        )
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">epoch</text>'
        f'<text x="{LEFT}" y="10">{escape(chart.axis)}</text>'
    )
    for epoch in epoch_ticks(num_epochs):
        parts.append(
            f'<text x="{x(epoch):.1f}" y="{HEIGHT - 15}" text-anchor="middle">'
            f"{epoch + first_epoch}</text>"
        )
    num_levels = 1 + max(curve.colour for curve in curves)
    for curve in curves:
        colour = colour_of(curve, num_levels, chart.levels)
        points = [(x(e), y(v)) for e, v in enumerate(curve.values) if math.isfinite(v)]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline class="{curve.style}" style="stroke:{colour}" points="{line}"/>')
        if len(curve.values) <= MOST_MARKS and curve.colour >= 0:
            parts += [
                f'<circle style="fill:{colour}" cx="{x(e):.1f}" cy="{y(v):.1f}" r="2.2"><title>'
                f"{escape(curve.label)}, epoch {e + first_epoch}: {v:.4g}</title></circle>"
                for e, v in enumerate(curve.values)
                if math.isfinite(v)
            ]
    parts.append("</svg>")
    legend = "".join(
        f'<span><i class="{c.style}" style="border-color:'
        f'{colour_of(c, num_levels, chart.levels)}"></i>{escape(c.label)}</span>'
        for c in curves
    )
    return (
        f'<figure class="chart"><figcaption>{escape(chart.title)}</figcaption>'
        f'<p class="muted">{escape(chart.text)}</p>{"".join(parts)}'
        f'<div class="legend">{legend}</div></figure>'
    )


def colour_of(curve: Curve, num_levels: int, are_levels: bool) -> str:
    """A colour of the page: grey, a mixture from the lowest to the highest level, or a number."""
    if curve.colour < 0:
        return "var(--neutral)"
    if are_levels:
        part = 100 * curve.colour / max(1, num_levels - 1)
        return f"color-mix(in oklab, var(--high-level) {part:.0f}%, var(--low-level))"
    return f"var(--curve-{curve.colour % NUM_COLOURS})"


def nice_ticks(low: float, high: float, count: int = 5) -> Sequence[float]:
    """Round numbers around the range, at distances of 1, 2 or 5 times a power of ten."""
    if high - low < 1e-12 * max(1.0, abs(high)):
        pad = 0.5 * abs(high) or 0.5
        low, high = low - pad, high + pad
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def epoch_ticks(num_epochs: int) -> list[int]:
    """Positions, from 0, of the epochs that are named: whole numbers, first and last among them."""
    step = max(1, math.ceil((num_epochs - 1) / 6))
    ticks = list(range(0, num_epochs, step))
    if ticks[-1] != num_epochs - 1:
        # The last one takes the place of a close neighbour.
        ticks = ticks[:-1] if num_epochs - 1 - ticks[-1] < step * 0.6 else ticks
        ticks.append(num_epochs - 1)
    return ticks
