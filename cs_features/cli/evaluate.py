"""`make evaluate`: labelled interactions through the engine and ledger, and how good the answers are.

What was asked before costs nothing. Without options it is the golden corpus and the prompts in use; with a
candidate (other prompts, another model, or both) the same items are asked again and compared; with
`--labelled` it is texts with the labels of their own sources. What the numbers mean stands in `evaluation.py`,
`comparison.py` and `labelled.py`. No text of an interaction is printed.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from cs_features.cli.failures import report_command_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError, PromptError, RequestError
from cs_features.extraction.models import CAPABILITIES
from cs_features.extraction.prompts import check_country_files
from cs_features.extraction.session import Session
from cs_features.quality.comparison import FALSE_BETTER, WORSE_BY_CHANCE, compare_paired_answers
from cs_features.quality.evaluation import count_field_confusions, measure_quality
from cs_features.quality.golden import GoldenItem, load_golden_corpus
from cs_features.quality.golden_run import Answers, Asked, ask_golden_items, ask_labelled_items
from cs_features.quality.labelled import (
    FIELDS,
    build_labelled_frame,
    load_labelled_interactions,
    measure_label_agreement,
)
from cs_features.schemas import CATEGORICAL, SCORES
from cs_features.services import DataBucket, Model, build_services_from

WORSE = 3  # the exit code
Done = TypeVar("Done", Answers, Asked)
_PRINTED: dict[str, Any] = {
    "tbl_rows": -1,
    "tbl_cols": -1,
    "tbl_width_chars": 200,
    "tbl_hide_dataframe_shape": True,
    "tbl_hide_column_data_types": True,
    "float_precision": 3,
}
_SCORE_COLUMNS = (("spearman", "rho"), ("mean_absolute_error", "error"), ("calibration_error", "cal."))
# The columns of the printed tables: a table a line, so that each fits on a screen.
_TABLES = (
    ("Share of right answers", {(name, "accuracy"): name for name in CATEGORICAL}),
    ("Macro-F1", {(name, "macro_f1"): name for name in CATEGORICAL}),
    (
        "Scores: rank correlation, mean error, calibration error",
        {
            (name, measure): f"{name.split('_')[0]} {heading}"
            for name in SCORES
            for measure, heading in (
                ("spearman", "rho"),
                ("mean_absolute_error", "error"),
                ("calibration_error", "cal."),
            )
        },
    ),
    (
        "Summaries: all facts told, English, nothing unsupported, length as asked, median characters",
        {("summary", measure): measure for measure in ("all_facts", "english", "supported", "length", "median_length")},
    ),
)


def main(arguments: list[str] | None = None) -> int:
    """0; 3 with `--gate` when anything is worse; 2 when the request, a file or a setting is wrong, 1 when AWS or the
    model refuses, each with a sentence on stderr."""
    options = _parse_options(arguments)
    try:
        services = build_services_from(settings())
        model, data = services.model, services.data
        with pl.Config(**_PRINTED):
            if options.labelled:
                _print_label_agreement(options.labelled, options.limit, model, data)
                return 0
            items = _choose_golden_items(model, options.language)
            candidate = _build_candidate_model(model, options)
            in_use = _measure_in_use(items, model, data, options.confusion)
            if candidate is None:
                return 0
            is_worse = _compare_candidate_prompts(in_use, items, candidate, data)
            return WORSE if options.gate and is_worse else 0
    except CsFeaturesError as error:
        return report_command_failure(error)


def _parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make evaluate",
        description=(__doc__ or "").splitlines()[0],
        epilog=f"Exit code: 0; 1 or 2 when it cannot be done; {WORSE} with --gate when anything is worse.",
    )
    parser.add_argument("--language", nargs="+", metavar="CODE", help="default: every language of the golden corpus")
    parser.add_argument(
        "--confusion", nargs="+", metavar="FIELD", choices=CATEGORICAL, default=[], help="print its confusion matrices"
    )
    parser.add_argument("--candidate", type=Path, metavar="DIR", help="prompts to compare with those in use")
    parser.add_argument(
        "--candidate-model", metavar="ID", choices=CAPABILITIES, help="a model to compare with the one in use"
    )
    parser.add_argument(
        "--gate", action="store_true", help=f"exit with {WORSE} when the candidate is worse in anything"
    )
    parser.add_argument(
        "--labelled", type=Path, metavar="DIR", help="instead of the corpus, a folder with landing/ and labels.jsonl"
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="with --labelled: N of each language; a larger N keeps what N has asked"
    )
    options = parser.parse_args(arguments)
    has_candidate = options.candidate or options.candidate_model
    if options.gate and not has_candidate:
        parser.error("--gate needs --candidate or --candidate-model")
    if options.labelled and (has_candidate or options.language or options.confusion):
        parser.error("--labelled takes no other option than --limit")
    if options.limit is not None and (options.limit < 1 or not options.labelled):
        parser.error("--limit is a positive number, with --labelled")
    return options


def _choose_golden_items(model: Model, languages: list[str] | None) -> list[GoldenItem]:
    """The items to ask; those of a country whose file cannot be used are left out, and stderr says why.

    Raises:
        RequestError: a language without items.
        PromptError: an item is wrong.
    """
    prompts = model.prompts()
    for problem in check_country_files(prompts):
        print(f"left out: {problem}", file=sys.stderr)
    corpus = [
        item for item in load_golden_corpus(model.find_prompts_folder(), prompts) if item.country in prompts.countries
    ]
    unknown = sorted(set(languages or ()) - {item.language for item in corpus})
    if unknown or not corpus:
        raise RequestError(
            f"{model.find_prompts_folder()}/golden has no items in {', '.join(unknown) or 'any language'}"
        )
    return [item for item in corpus if not languages or item.language in languages]


def _build_candidate_model(model: Model, options: argparse.Namespace) -> Model | None:
    if not options.candidate and not options.candidate_model:
        return None
    candidate = replace(
        model,
        published=None if options.candidate else model.published,
        prompts_dir=options.candidate or model.prompts_dir,
        model_id=options.candidate_model or model.model_id,
    )
    try:  # before anything is paid for
        load_golden_corpus(model.find_prompts_folder(), candidate.prompts())
    except PromptError as error:
        raise RequestError(f"The golden labels must be answers that the candidate can give:\n{error}") from None
    return candidate


def _measure_in_use(items: list[GoldenItem], model: Model, data: DataBucket, matrices: list[str]) -> pl.DataFrame:
    """Ask, print how good it is, and return the answers."""
    answers = _print_cost_paid(ask_golden_items(items, model, data, _print_progress)).frame
    print(f"In use: {model.model_id}, {model.find_prompts_folder()}. In brackets: 95 % intervals.")
    measured = pl.concat([measure_quality(answers, ("language",)), measure_quality(answers, ())])
    for title, columns in _TABLES:
        print(f"\n{title}\n{_build_score_table(measured, columns)}")
    for name in matrices:
        for (language,), group in sorted(answers.group_by("language"), key=lambda pair: str(pair[0])):
            print(f"\n{name}, {language}: labels in rows, answers in columns\n{count_field_confusions(group, name)}")
        print(f"\n{name}, all: labels in rows, answers in columns\n{count_field_confusions(answers, name)}")
    return answers


def _build_score_table(measured: pl.DataFrame, columns: Mapping[tuple[str, str], str]) -> pl.DataFrame:
    cells: dict[str, dict[str, str]] = {}
    for row in measured.iter_rows(named=True):
        if (column := columns.get((row["field"], row["measure"]))) is not None:
            cells.setdefault(row["language"], {})[column] = _format_score_cell(row["value"], row["low"], row["high"])
    return pl.DataFrame([{"language": language, **values} for language, values in cells.items()]).select(
        "language", *columns.values()
    )


def _format_score_cell(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "-"
    shown = f"{value:.2f}" if value <= 1 else f"{value:.0f}"
    return shown if low is None else f"{shown} ({low:.2f}-{high:.2f})"


def _compare_candidate_prompts(
    in_use: pl.DataFrame, items: list[GoldenItem], candidate: Model, data: DataBucket
) -> bool:
    """Ask the candidate, print the comparison, and return whether it is worse in anything."""
    found = compare_paired_answers(
        in_use, _print_cost_paid(ask_golden_items(items, candidate, data, _print_progress)).frame
    )
    folder = candidate.find_prompts_folder()
    print(f"\nCandidate: {candidate.model_id}, {folder}. A difference above zero is in its favour.")
    print(pl.DataFrame([vars(each) for each in found], infer_schema_length=None))
    counted = Counter(each.verdict for each in found)
    print(f"better {counted['better']}, worse {counted['worse']}, inconclusive {counted['inconclusive']}.")
    print(
        f"Without any difference some {WORSE_BY_CHANCE * len(found):.0f} of {len(found)} would be called worse by "
        f"chance; that one is called better by chance happens in {FALSE_BETTER:.1%} of such runs."
    )
    return counted["worse"] > 0


def _print_label_agreement(folder: Path, limit: int | None, model: Model, data: DataBucket) -> None:
    items, left_out = load_labelled_interactions(folder, limit)
    interactions = {str(item.interaction.interaction_id): item.interaction for item in items}
    asked = _print_cost_paid(ask_labelled_items(interactions, model, data, "labelled", _print_progress))
    answered = [item for item in items if str(item.interaction.interaction_id) in asked.answers]
    frame = build_labelled_frame(answered, asked.answers)
    print(f"{model.model_id}, {model.find_prompts_folder()}, against the sources' own labels in {folder}")
    print(measure_label_agreement(frame))
    for name in FIELDS:
        known = frame.filter(pl.col(f"{name}_label").is_not_null())
        if known.height:
            print(f"\n{name}: labels in rows, answers in columns\n{count_field_confusions(known, name)}")
    for reason, count in left_out.most_common():
        print(f"left out {count}: {reason}")
    if asked.unanswered:
        print(f"left out {len(asked.unanswered)}: no answer")


def _print_progress(session: Session, total: int) -> None:
    print(f"\r{len(session.outcomes)} of {total} answered", end="", file=sys.stderr, flush=True)


def _print_cost_paid(done: Done) -> Done:
    print(f"\n{done.calls} calls, ${done.cost_usd:.4f}", file=sys.stderr)
    return done


if __name__ == "__main__":
    sys.exit(main())
