"""The picture of the comparison: whether what is foretold happens, and whom one reaches by asking the likeliest first.

Drawing alone. The colours can be told apart by whoever sees no red or green.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from cs_features.local.churn.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"honest": "#0072b2", "the plan alone": "#888888", "leaky, when served": "#d55e00"}


def draw_comparison(found: Comparison, path: Path) -> None:
    """Write the picture, a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    calibration, gains = figure.subplots(1, 2)
    _draw_calibration(calibration, found)
    _draw_gains(gains, found)
    figure.suptitle("Simulated customers: no real ones stand in here")
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _draw_calibration(axes: "Axes", found: Comparison) -> None:
    foretold, left = zip(*found.tenths, strict=True)
    limit = 1.1 * max(*foretold, *left)
    axes.plot([0, limit], [0, limit], color="#bbbbbb", linewidth=1)
    axes.plot(foretold, left, marker="o", color=_COLOURS["honest"])
    axes.set(xlabel="foretold", ylabel="left", title="Calibration of the honest model, by tenths")


def _draw_gains(axes: "Axes", found: Comparison) -> None:
    share = [number / 10 for number in range(11)]
    for name, reached in found.gains.items():
        axes.plot(share, reached, label=name, color=_COLOURS[name])
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    axes.set(xlabel="share of the customers, likeliest first", ylabel="share of those who left", title="Uplift")
    axes.legend(frameon=False)
