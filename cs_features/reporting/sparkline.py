"""A small line of a month as inline SVG. A day of which nothing is known is a gap, never a zero.

Here: coordinates. Not here: which numbers, and what they mean.
"""

from collections.abc import Sequence
from itertools import groupby

WIDTH, HEIGHT, MARGIN = 64, 14, 1.5


def draw_svg_sparkline(values: Sequence[float | None], title: str) -> str:
    """SVG of a line through `values`, the oldest first, from zero to the largest; the last known one is a dot."""
    known = [value for value in values if value is not None]
    top = max(known, default=0) or 1
    points = [_place_sparkline_point(place, value, len(values), top) for place, value in enumerate(values)]
    drawn = "".join(_draw_unbroken_run(run) for run in _split_at_gaps(points))
    last = next((point for point in reversed(points) if point is not None), None)
    dot = f'<circle cx="{last[0]}" cy="{last[1]}" r="1.5"/>' if last else ""
    return (
        f'<svg class="spark" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{title}</title>{drawn}{dot}</svg>"
    )


Point = tuple[float, float]


def _place_sparkline_point(place: int, value: float | None, count: int, top: float) -> Point | None:
    if value is None:
        return None
    across = MARGIN + place * (WIDTH - 2 * MARGIN) / max(count - 1, 1)
    down = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * value / top
    return round(across, 1), round(down, 1)


def _split_at_gaps(points: Sequence[Point | None]) -> list[list[Point]]:
    runs = groupby(points, key=lambda point: point is None)
    return [[point for point in run if point is not None] for is_gap, run in runs if not is_gap]


def _draw_unbroken_run(points: Sequence[Point]) -> str:
    """One day between two gaps is a dot, more are a line."""
    if len(points) == 1:
        return f'<circle cx="{points[0][0]}" cy="{points[0][1]}" r="0.8"/>'
    path = " ".join(f"{across},{down}" for across, down in points)
    return f'<polyline points="{path}"/>'
