"""`make calibrate`: fit each country's corrections of the two scores on the golden corpus, and write them.

With `--people` they are fitted on colleagues' labels instead (`cli/review.py`), which asks no model.

What was asked before is free, so after `make evaluate` this costs nothing. A correction is kept only if it ranks
unseen items and brings them nearer to their labels, both beyond chance; the country file says what was kept.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import polars as pl

from cs_features.cli.failures import report_command_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.extraction.session import Session
from cs_features.planning.requests import require_known_countries
from cs_features.quality.calibration import Fit, fit_country_corrections, replace_calibration_section
from cs_features.quality.golden import load_golden_corpus
from cs_features.quality.golden_run import ask_golden_items
from cs_features.review.fitting import select_for_fitting
from cs_features.review.labelled import join_label_answers, read_returned_labels
from cs_features.review.records import Records
from cs_features.services import Model, Services, build_services_from


def main() -> int:
    """0; 2 when the request, a file or a setting is wrong, 1 when AWS or the model refuses, each with a sentence."""
    parser = argparse.ArgumentParser(prog="make calibrate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--country", nargs="*", default=[], help="default: every country")
    parser.add_argument("--dry-run", action="store_true", help="print the fits, write no file")
    parser.add_argument("--people", action="store_true", help="fit on colleagues' labels, not on the golden corpus")
    options = parser.parse_args()
    try:
        _calibrate_each_country(options, build_services_from(settings()))
    except CsFeaturesError as error:
        return report_command_failure(error)
    return 0


def _calibrate_each_country(options: argparse.Namespace, services: Services) -> None:
    model, asked, dry_run = services.model, options.country, options.dry_run
    prompts = model.prompts()
    countries = require_known_countries(asked, prompts.list_countries()) if asked else sorted(prompts.countries)
    for country in countries:
        prompts.countries[country]  # raises: what is wrong with its file
    labelled = (_read_people_labels if options.people else _ask_golden_items)(countries, services)
    folder = copy_published_prompts(model) if model.published and not dry_run else model.find_prompts_folder()
    for country in countries:
        group = labelled[country]
        if group.is_empty():
            where = "no labels of colleagues" if options.people else "no golden items"
            print(f"{country} has {where}: nothing to fit. See docs/quality.md")
            continue
        fits = fit_country_corrections(group)
        for fit in fits.values():
            print(_describe_calibration_fit(country, fit))
        _write_corrections(country, model.with_prompts(folder), fits, dry_run)
    if folder != model.find_prompts_folder():
        version = services.data.prompt_versions().push_prompt_folder(folder)
        print(f'Pushed as {version}: python -m cs_features.cli.prompts use {version} --why "calibrated"')


def _ask_golden_items(countries: list[str], services: Services) -> dict[str, pl.DataFrame]:
    """The golden items' answers and labels, by country."""
    model = services.model
    golden = load_golden_corpus(model.find_prompts_folder(), model.prompts())
    items = [item for item in golden if item.country in countries]
    answers = ask_golden_items(items, model, services.data, _print_progress, as_said=True)
    print(f"\n{answers.calls} calls, ${answers.cost_usd:.4f}", file=sys.stderr)
    return {country: answers.frame.filter(pl.col("country") == country) for country in countries}


def _read_people_labels(countries: list[str], services: Services) -> dict[str, pl.DataFrame]:
    """What colleagues said of texts that the model and the prompt in use have answered, by country."""
    records, model = Records(services.data.bucket()), services.model
    found = {}
    for country in countries:
        labelled = join_label_answers(read_returned_labels(records, country))
        asked = model.prompts().asked_version(country)
        found[country] = select_for_fitting(labelled, model.model_id, asked)
    return found


def copy_published_prompts(model: Model) -> Path:
    """What is in use in the data bucket is edited in a copy, and becomes a version of its own."""
    return Path(shutil.copytree(model.find_prompts_folder(), Path(tempfile.mkdtemp()) / "prompts"))


def _write_corrections(country: str, model: Model, fits: dict[str, Fit], dry_run: bool) -> None:
    path = model.prompts_dir / "countries" / f"{country}.md"
    text = path.read_text(encoding="utf-8")
    changed = replace_calibration_section(text, model.prompts().countries[country], model.model_id, fits)
    if changed != text and not dry_run:
        path.write_text(changed, encoding="utf-8")
        print(f"{path} written")


def _describe_calibration_fit(country: str, fit: Fit) -> str:
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
