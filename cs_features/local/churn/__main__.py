"""`python -m cs_features.local.churn`: the example of docs/training.md; its data is simulated, and it says so.

Arguments and printing alone; what is compared stands in `comparison.py`.
"""

import argparse
import sys
from pathlib import Path

from cs_features.local.churn.comparison import Comparison, compare_models
from cs_features.local.churn.picture import draw_comparison


def describe_comparison(found: Comparison) -> list[str]:
    """The lines that are printed."""
    lines = [
        "Simulated customers: no figure here says anything of real ones.",
        f"AUC of held-out customers, the plan alone           {found.without:.3f}",
        f"  with features as they were known at the cut       {found.honest:.3f}",
        f"  true features with the extraction's known error   {found.expected:.3f}",
        f"  joined by event time on today's table (leaky)     {found.leaky:.3f}",
        f"  the leaky model when it is served                 {found.deployed:.3f}",
        "Features that look ahead, and in how many rows:",
        f"  honest: {_list_leaks(found.honest_leaks)}",
        f"  leaky: {_list_leaks(found.leaky_leaks)}",
        "Calibration of the honest model, by tenths of the customers: foretold, left",
    ]
    return lines + [f"  {foretold:6.3f} {left:6.3f}" for foretold, left in found.tenths]


def _list_leaks(leaks: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in leaks.items()) or "none"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cs_features.local.churn", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--picture", type=Path, help="draw calibration and uplift into this PNG")
    options = parser.parse_args()
    found = compare_models(options.customers)
    print("\n".join(describe_comparison(found)))
    if options.picture:
        draw_comparison(found, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
