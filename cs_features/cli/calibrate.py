"""`make calibrate`: fit each country's corrections of the two scores on the golden corpus, and write them.

What was asked before is free, so after `make evaluate` this costs nothing. A correction is kept only if it ranks
unseen items and brings them nearer to their labels, both beyond chance; the country file says what was kept.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import polars as pl

from cs_features.cli.failures import report_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.extraction.session import Session
from cs_features.planning.requests import require_countries
from cs_features.quality.calibration import Fit, fit_corrections, replace_calibration
from cs_features.quality.golden import load_golden
from cs_features.quality.golden_run import ask_golden_items
from cs_features.services import Model, Services, build_services


def main() -> int:
    """0; 2 when the request, a file or a setting is wrong, 1 when AWS or the model refuses, each with a sentence."""
    parser = argparse.ArgumentParser(prog="make calibrate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--country", nargs="*", default=[], help="default: every country")
    parser.add_argument("--dry-run", action="store_true", help="print the fits, write no file")
    options = parser.parse_args()
    try:
        _calibrate_countries(options.country, build_services(settings()), options.dry_run)
    except CsFeaturesError as error:
        return report_failure(error)
    return 0


def _calibrate_countries(asked: list[str], services: Services, dry_run: bool) -> None:
    model = services.model
    prompts = model.prompts()
    countries = require_countries(asked, prompts.list_countries()) if asked else sorted(prompts.countries)
    for country in countries:
        prompts.countries[country]  # raises: what is wrong with its file
    items = [item for item in load_golden(model.find_prompts_folder(), prompts) if item.country in countries]
    answers = ask_golden_items(items, model, services.data, _print_progress, as_said=True)
    print(f"\n{answers.calls} calls, ${answers.cost_usd:.4f}", file=sys.stderr)
    folder = copy_published(model) if model.published and not dry_run else model.find_prompts_folder()
    for country in countries:
        group = answers.frame.filter(pl.col("country") == country)
        if group.is_empty():
            print(f"{country} has no golden items: nothing to fit. See prompts/golden/README.md")
            continue
        fits = fit_corrections(group)
        for fit in fits.values():
            print(_describe_fit(country, fit))
        _write_corrections(country, model.with_prompts(folder), fits, dry_run)
    if folder != model.find_prompts_folder():
        version = services.data.prompt_versions().push_folder(folder)
        print(f'Pushed as {version}: python -m cs_features.cli.prompts use {version} --why "calibrated"')


def copy_published(model: Model) -> Path:
    """What is in use in the data bucket is edited in a copy, and becomes a version of its own."""
    return Path(shutil.copytree(model.find_prompts_folder(), Path(tempfile.mkdtemp()) / "prompts"))


def _write_corrections(country: str, model: Model, fits: dict[str, Fit], dry_run: bool) -> None:
    path = model.prompts_dir / "countries" / f"{country}.md"
    text = path.read_text(encoding="utf-8")
    changed = replace_calibration(text, model.prompts().countries[country], model.model_id, fits)
    if changed != text and not dry_run:
        path.write_text(changed, encoding="utf-8")
        print(f"{path} written")


def _describe_fit(country: str, fit: Fit) -> str:
    rank = "none" if fit.rank is None else f"{fit.rank:.2f}"
    return (
        f"{country} {fit.score}: {fit.items} items, mean distance to the label {fit.distance_before:.3f}, corrected "
        f"{fit.distance_after:.3f} on unseen items, whose rank correlation is {rank} (p {fit.rank_p:.3f}): "
        f"{'kept' if fit.kept else 'not kept'}"
    )


def _print_progress(session: Session, total: int) -> None:
    print(f"\r{len(session.outcomes)} of {total} answered", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
