"""Pictures for Dagster's metadata, as Markdown with the PNG inside: values and numbers, never a customer's text.

matplotlib is imported where it draws, and its object interface has no global state: most runs draw nothing, and
a thread of another run may draw at the same time.
"""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from cs_features.monitoring.distributions import LENGTHS, Distribution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 90
# Okabe and Ito's colours, which colour-blind readers tell apart, and grey for what is the background.
WEEK, BASELINE, MARK = "#0072B2", "#999999", "#D55E00"
MAX_BARS = 15
BINS = 20


def draw_confusion(counts: pl.DataFrame, title: str) -> str:
    """Markdown of a heat map: a row a label, a column an answer, each row's share as its shade.

    `counts` has the column `label` and, for each value answered, a column of counts. Right answers lie on the diagonal.
    """
    labels = counts["label"].to_list()
    answered = [name for name in counts.columns if name != "label"]
    if not labels:
        return f"{title}: nothing to show"
    # One order for both axes, or right answers lie nowhere in particular.
    answers = [*labels, *sorted(set(answered) - set(labels))]
    table = [_count_answers(row, answers) for row in counts.iter_rows(named=True)]
    size = 2.4 + 0.42 * len(answers), 1.8 + 0.34 * len(labels)
    figure, axes = _make_figure(size, title)
    shares = [_share_row(row) for row in table]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(table):
        for x, count in enumerate(row):
            if count:
                axes.text(x, y, f"{count}", ha="center", va="center", color="white" if shares[y][x] > 0.5 else "black")
    axes.set_xticks(range(len(answers)), answers, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="answer", ylabel="label")
    axes.tick_params(length=0)
    return _embed_as_markdown(figure, title)


def _count_answers(row: dict[str, int], answers: Sequence[str]) -> list[int]:
    """One label's counts in the order of `answers`; what nobody answered has no column, and counts 0."""
    return [row.get(name, 0) for name in answers]


def _share_row(row: Sequence[int]) -> list[float]:
    total = max(sum(row), 1)
    return [count / total for count in row]


def draw_distributions(panels: Sequence[Distribution], title: str, marked: frozenset[str] = frozenset()) -> str:
    """Markdown of a panel a feature, the week against the baseline; those of the `marked` features stand out."""
    columns = 3
    rows = -(-len(panels) // columns)
    figure, _ = _make_figure((11.0, 0.7 + 2.7 * rows), title, axes=False)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        (_draw_steps if panel.is_ordered else _draw_bars)(axes, panel)
        drifted = panel.feature in marked
        name = f"length of {panel.feature}" if panel.feature in LENGTHS else panel.feature
        axes.set_title(
            f"{name}: drifted" if drifted else name,
            color=MARK if drifted else "black",
            fontweight="bold" if drifted else "normal",
        )
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    if len(panels):
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    return _embed_as_markdown(figure, title)


def _draw_bars(axes: "Axes", panel: Distribution) -> None:
    """Shares of the categories, the largest on top; what there is no room for is one bar."""
    week, baseline = _share_counts(panel.week), _share_counts(panel.baseline)
    bars = sorted(zip(panel.values, week, baseline, strict=True), key=lambda bar: -max(bar[1:]))
    if len(bars) > MAX_BARS:
        rest = bars[MAX_BARS - 1 :]
        bars = [
            *bars[: MAX_BARS - 1],
            (f"{len(rest)} others", sum(bar[1] for bar in rest), sum(bar[2] for bar in rest)),
        ]
    places = range(len(bars))
    axes.barh([place - 0.2 for place in places], [bar[1] for bar in bars], 0.4, color=WEEK, label="week")
    axes.barh([place + 0.2 for place in places], [bar[2] for bar in bars], 0.4, color=BASELINE, label="baseline")
    axes.set_yticks(places, [str(bar[0]) for bar in bars], fontsize=9 if len(bars) < 10 else 7.5)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:.0%}")


def _draw_steps(axes: "Axes", panel: Distribution) -> None:
    """Histograms with the same bins: of [0, 1], or of lengths up to the longest."""
    values = [float(value) for value in panel.values]
    highest = max([1.0, *values])
    edges = [highest * edge / BINS for edge in range(BINS + 1)]

    def sum_up_bins(counts: Any) -> list[float]:
        found = [0.0] * BINS
        for value, share in zip(values, _share_counts(counts), strict=True):
            found[min(int(value / highest * BINS), BINS - 1)] += share
        return found

    axes.stairs(sum_up_bins(panel.baseline), edges, fill=True, color=BASELINE, alpha=0.6)
    axes.stairs(sum_up_bins(panel.week), edges, color=WEEK, linewidth=1.6)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_xlabel("characters" if panel.feature in LENGTHS else "")


def _share_counts(counts: Any) -> list[float]:
    return [float(count) / max(float(counts.sum()), 1.0) for count in counts]


def _make_figure(size: tuple[float, float], title: str, *, axes: bool = True) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure, figure.subplots() if axes else None


def encode_png(figure: "Figure") -> bytes:
    """The figure in 128 colours, half of the size: every picture is in a row of Dagster's event log."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(128).save(small, "PNG", optimize=True)
    return small.getvalue()


def _embed_as_markdown(figure: "Figure", title: str) -> str:
    return f"![{title}](data:image/png;base64,{base64.b64encode(encode_png(figure)).decode()})"
