"""The preview: honest intervals from a small sample, no call paid twice, nothing asked where nothing changes."""

import random
import shutil
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import dagster as dg
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.cli import preview as command_module
from cs_features.errors import RequestError, RunStopper
from cs_features.extraction.engine import Outcome, Receipts
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.local.scripted import Script
from cs_features.partitions import Partition
from cs_features.planning.preview.changes import (
    EVERY_VALUE,
    count_change_directions,
    count_population_strata,
    estimate_value_changes,
    flag_field_changes,
    format_change_estimates,
)
from cs_features.planning.preview.plan import MAX_SAMPLE, Scope, sample_size
from cs_features.planning.preview.run import (
    Preview,
    ask_planned_requests,
    pair_sample_answers,
    preview_candidate_prompts,
)
from cs_features.planning.preview.sampling import (
    LEAST,
    Stratum,
    allocate_stratum_sample,
    draw_stratum_sample,
    estimate_weighted_share,
)
from cs_features.schemas import ANSWER_FIELDS, Reason
from cs_features_tests.support.desk import GOOD
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.http import read_model_stats
from cs_features_tests.support.kept_lab import KeptLab
from cs_features_tests.support.lab import PROMPTS, AwsAndModel, Lab

NEXT = DAY + timedelta(days=1)
EXTRACT = ["raw_interactions", "llm_extractions"]
SECRET = "Szczebrzeszyn"  # stands in every text and in no answer

# --- who is asked -----------------------------------------------------------------------------

sizes_and_total = st.tuples(st.lists(st.integers(0, 500), max_size=12), st.integers(0, 800))


@given(sizes_and_total)
def test_a_sample_has_the_size_that_was_asked_for_and_asks_nobody_twice(given_: tuple[list[int], int]) -> None:
    """A stratum of three that is asked five times is a division by a negative number later on."""
    sizes, total = given_
    counts = allocate_stratum_sample(sizes, total)
    assert sum(counts) == min(total, sum(sizes))
    assert all(0 <= count <= size for count, size in zip(counts, sizes, strict=True))


@given(sizes_and_total)
def test_small_strata_are_asked_as_far_as_half_of_the_sample_goes(given_: tuple[list[int], int]) -> None:
    """In proportion, 30 Ukrainians among 2,000 Poles get one question, and a prompt that breaks Ukrainian passes."""
    sizes, total = given_
    counts = allocate_stratum_sample(sizes, total)
    for least in range(LEAST + 1):
        if 2 * sum(min(size, least) for size in sizes) <= total:
            assert all(count >= min(size, least) for count, size in zip(counts, sizes, strict=True))


@given(st.lists(st.integers(1, 2_000), min_size=1, max_size=10), st.integers(1, 400))
def test_beyond_the_minimum_the_sample_is_in_proportion(sizes: list[int], total: int) -> None:
    """An estimate for all is no better than its thinnest large stratum."""
    counts = allocate_stratum_sample(sizes, total)
    beyond = [(size / count, size / (count + 1)) for size, count in zip(sizes, counts, strict=True) if count > LEAST]
    for stands_for, _ in beyond:
        for _, would_stand_for in beyond:
            assert stands_for >= would_stand_for  # no question would serve better elsewhere


@given(st.sets(st.uuids(version=4).map(str), min_size=1, max_size=40), st.integers(0, 40), st.randoms())
def test_the_same_are_drawn_every_time_and_more_keep_those_who_were_drawn(
    identifiers: set[str], count: int, chance: random.Random
) -> None:
    """A second look at a preview was paid like the first, because it asked others."""
    shuffled = list(identifiers)
    chance.shuffle(shuffled)
    drawn = draw_stratum_sample(identifiers, count)
    assert drawn == draw_stratum_sample(shuffled, count)
    assert len(drawn) == min(count, len(identifiers))
    assert set(drawn) <= set(draw_stratum_sample(identifiers, count + 1)) <= identifiers


@pytest.mark.parametrize(("population", "size"), [(1, 1), (12, 1), (100, 8), (1_800, 144), (100_000, MAX_SAMPLE)])
def test_the_sample_is_a_small_part_and_never_more_than_a_few_hundred(population: int, size: int) -> None:
    """A tenth of a year's interactions is a bill, not a preview."""
    assert sample_size(population) == size


# --- how far it holds -------------------------------------------------------------------------


@st.composite
def strata(draw_: st.DrawFn) -> list[Stratum]:
    found = []
    for _ in range(draw_(st.integers(1, 8))):
        size = draw_(st.integers(1, 300))
        values = draw_(st.lists(st.sampled_from([0.0, 1 / 7, 0.5, 1.0]), max_size=min(size, 12)))
        found.append(Stratum(size, len(values), sum(values), sum(value**2 for value in values)))
    return found


@given(strata())
def test_an_interval_holds_its_estimate_and_no_impossible_share(given_: list[Stratum]) -> None:
    """'-0.4 % to 3.1 %' is not read again."""
    found = estimate_weighted_share(given_)
    assert 0.0 <= found.low <= found.high <= 1.0
    if found.value is not None:
        assert found.low <= found.value <= found.high
    assert (found.value is None) == all(each.asked == 0 for each in given_)


@given(st.lists(st.tuples(st.integers(1, 200), st.floats(0, 1)), min_size=1, max_size=8))
def test_who_asks_everybody_knows_exactly(given_: list[tuple[int, float]]) -> None:
    """An interval around a census tells the engineer to doubt a fact."""
    counted = [(size, round(size * part)) for size, part in given_]
    found = estimate_weighted_share([Stratum(size, size, changes, changes) for size, changes in counted])
    truth = sum(changes for _, changes in counted) / sum(size for size, _ in counted)
    assert found.low == found.value == found.high == pytest.approx(truth)


def test_no_change_seen_is_not_no_change() -> None:
    """Of 50 none changed, the report said 0.0 % +- 0.0, and 2 % of 60,000 features changed."""
    found = estimate_weighted_share([Stratum(60_000, 50, 0, 0)])
    assert (found.value, found.low) == (0.0, 0.0)
    assert 0.05 < found.high < 0.08


def test_three_who_agree_by_chance_do_not_narrow_the_interval() -> None:
    """With each stratum's own variance, a few strata of unanimous threes were taken for certain."""
    unanimous = estimate_weighted_share([Stratum(500, 3, x, x) for x in (0, 3, 0, 0)])
    mixed = estimate_weighted_share([Stratum(2_000, 12, 3, 3)])
    assert unanimous.high - unanimous.low > 0.6 * (mixed.high - mixed.low)


def test_a_stratum_without_answers_widens_the_interval() -> None:
    """What was not asked is not known to be like the rest."""
    known, unknown = (
        estimate_weighted_share([Stratum(500, 50, 5, 5)]),
        estimate_weighted_share([Stratum(500, 50, 5, 5), Stratum(300, 0, 0, 0)]),
    )
    assert known.value == unknown.value
    assert unknown.high - unknown.low > 1.5 * (known.high - known.low)


POPULATION = [420, 60, 12, 200, 170, 25, 6, 380, 20, 240, 50, 190, 30, 3]


@pytest.mark.heavy
@pytest.mark.parametrize("part", [0.004, 0.02, 0.05, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("spread", [(1, 1, 1), (0, 1, 2), (0, 0, 3)], ids=["even", "uneven", "in a third"])
def test_ninety_five_percent_intervals_hold_the_truth_nine_times_in_ten_and_more(
    part: float, spread: tuple[int, int, int]
) -> None:
    """An interval that holds in theory, for large samples, is an anecdote for 5 of 60 and 5 of 12."""
    chance = random.Random(f"{part} {spread}")
    counts = allocate_stratum_sample(POPULATION, 140)
    held, rounds = 0, 400
    for _ in range(rounds):
        seen, changes = [], 0
        for number, (size, count) in enumerate(zip(POPULATION, counts, strict=True)):
            values = [chance.random() < min(1.0, part * spread[number % 3]) for _ in range(size)]
            changes += sum(values)
            total = sum(values[:count])
            seen.append(Stratum(size, count, total, total))
        found = estimate_weighted_share(seen)
        held += found.low <= changes / sum(POPULATION) <= found.high
    assert held / rounds >= 0.91


# --- what counts as a change ------------------------------------------------------------------


def pairs(*answers: tuple[dict[str, Any] | None, dict[str, Any] | None], language: str = "nl") -> pl.DataFrame:
    empty = dict.fromkeys(ANSWER_FIELDS)
    rows = [
        {
            "country": "NL",
            "language": language,
            **(was or empty),
            **{f"{name}_candidate": value for name, value in (becomes or empty).items()},
        }
        for was, becomes in answers
    ]
    kinds = {name: pl.Float64 if name in ("urgency_score", "csat_indicator") else pl.String for name in ANSWER_FIELDS}
    schema = {**kinds, **{f"{name}_candidate": kind for name, kind in kinds.items()}}
    return pl.DataFrame(rows, schema={"country": pl.String, "language": pl.String, **schema})


def changes_of(was: dict[str, Any] | None, becomes: dict[str, Any] | None) -> set[str]:
    flags = flag_field_changes(pairs((was, becomes))).to_dicts()[0]
    return {name for name in ANSWER_FIELDS if flags[name] == 1.0}


@pytest.mark.parametrize(
    ("field", "value", "counts"),
    [
        ("sentiment", "neutral", False),
        ("sentiment", "negative", True),
        ("urgency_score", 0.35, False),  # 0.25 before; the step is part of the same anchor
        ("urgency_score", 0.15, False),
        ("urgency_score", 0.36, True),
        ("csat_indicator", 0.4, False),  # 0.5 - 0.4 is 0.09999...
        ("csat_indicator", 0.6, False),  # 0.6 - 0.5 is 0.1, and a little less or more elsewhere
        ("summary", "the customer  asks where a PARCEL is.\n", False),
        ("summary", "The customer asks where the parcel is.", True),
    ],
)
def test_what_counts_as_a_change(field: str, value: Any, counts: bool) -> None:
    """A score of 0.31 for 0.30 in every row was reported as '98 % of urgency changes'."""
    assert changes_of(GOOD, GOOD | {field: value}) == ({field} if counts else set())


def test_a_tenth_is_a_tenth_whatever_floating_point_says() -> None:
    """0.4 - 0.3 is more than 0.1 for a machine."""
    assert changes_of(GOOD | {"urgency_score": 0.3}, GOOD | {"urgency_score": 0.4}) == set()


def test_an_answer_that_fails_changes_every_feature_and_one_that_still_fails_none() -> None:
    """A prompt whose answers are refused changes nothing, if null equals everything."""
    assert changes_of(GOOD, None) == changes_of(None, GOOD) == set(ANSWER_FIELDS)
    assert changes_of(None, None) == set()


def test_a_stratum_that_was_asked_more_does_not_weigh_more() -> None:
    """All 10 Turkish interactions changed, and so did 'half of the Netherlands', with 900 Dutch ones beside them."""
    asked = pl.concat(
        [pairs(*[(GOOD, GOOD)] * 10), pairs(*[(GOOD, GOOD | {"sentiment": "negative"})] * 10, language="tr")]
    )
    sizes = pl.DataFrame({"country": "NL", "language": ["nl", "tr"], "interactions": [900, 10]})
    found = estimate_value_changes(sizes, flag_field_changes(asked))
    shares = {(row["language"], row["feature"]): row for row in found.filter(pl.col("country") == "NL").to_dicts()}
    assert shares["all", "sentiment"]["share"] == pytest.approx(10 / 910)
    assert (shares["tr", "sentiment"]["low"], shares["tr", "sentiment"]["high"]) == (1.0, 1.0)
    assert shares["nl", "sentiment"]["share"] == 0.0
    assert shares["all", EVERY_VALUE]["share"] == pytest.approx(10 / 910 / 7)
    assert shares["all", "sentiment"]["asked"] == 20
    (seen,) = count_change_directions(sizes, asked).to_dicts()
    assert seen == {
        "feature": "sentiment",
        "was": "neutral",
        "becomes": "negative",
        "seen": 10,
        "share": pytest.approx(10 / 910),
    }


def test_directions_name_values_and_never_a_summary() -> None:
    """The table goes into Dagster's metadata, where no customer's matter belongs."""
    told = count_change_directions(
        pl.DataFrame({"country": ["NL"], "language": ["nl"], "interactions": [100]}),
        pairs(
            (GOOD, GOOD | {"summary": f"Something about {SECRET}.", "urgency_score": 0.9}),
            (GOOD, GOOD | {"csat_indicator": 0.1}),
            (GOOD, None),
            (None, GOOD),
        ),
    )
    rows = set(told.select("feature", "was", "becomes").iter_rows())
    assert ("urgency_score", "a score", "higher") in rows
    assert ("csat_indicator", "a score", "lower") in rows
    assert ("sentiment", "neutral", "no answer") in rows
    assert ("csat_indicator", "no answer", "a score") in rows
    assert SECRET not in str(told.to_dicts())
    assert "summary" not in told["feature"]


def test_too_small_a_stratum_is_called_so_unless_all_of_it_was_asked() -> None:
    """Two of two asked is a fact, two of forty a rumour."""
    asked = pl.concat([pairs((GOOD, GOOD), (GOOD, GOOD), language=language) for language in ("en", "tr")])
    sizes = pl.DataFrame({"country": "NL", "language": ["en", "nl", "tr"], "interactions": [40, 900, 2]})
    shown = {
        row["language"]: row
        for row in format_change_estimates(estimate_value_changes(sizes, flag_field_changes(asked))).tail(3).to_dicts()
    }
    assert [shown[language]["note"] for language in ("en", "tr")] == ["too few to tell", ""]
    assert shown["tr"]["sentiment"] == "0.0 (0.0-0.0)"
    assert shown["nl"]["sentiment"] == "not asked"


# --- end to end -------------------------------------------------------------------------------


@pytest.fixture
def fast_lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(requests_per_minute=60_000)


def documents(country: str, day: date, count: int, language: str = "nl") -> bytes:
    return jsonl(
        document(
            f"{country} {day} {language} {number}",
            country=country,
            language=language,
            occurred_at=f"{day}T09:30:00+00:00",
            turns=[{"speaker": "customer", "text": f"Vraag {number} van {day} uit {SECRET}, waar blijft mijn pakket?"}],
        )
        for number in range(count)
    )


@pytest.fixture(scope="module")
def extracted(stack: AwsAndModel) -> KeptLab:
    """NL has 40 interactions in two languages on two days, BE 20 on one, all extracted with the prompts in use."""
    lab = Lab(stack, requests_per_minute=60_000)
    lab.land("NL", DAY, "a.jsonl", documents("NL", DAY, 20))
    lab.land("NL", NEXT, "a.jsonl", documents("NL", NEXT, 12) + documents("NL", NEXT, 8, "en"))
    lab.land("BE", DAY, "a.jsonl", documents("BE", DAY, 20))
    for country, day in (("NL", DAY), ("NL", NEXT), ("BE", DAY)):
        run = lab.process(country, day, only=EXTRACT)
        assert run.success, run.errors
    return KeptLab(lab)


@pytest.fixture
def held(extracted: KeptLab, make_lab: Callable[..., Lab]) -> Lab:
    return extracted.restore()


@pytest.fixture
def candidate(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the prompts with one more line in the named countries' files."""

    def made(*countries: str, line: str = "- Read it once more.") -> Path:
        folder = tmp_path / "candidate"
        shutil.copytree(PROMPTS, folder, ignore=shutil.ignore_patterns("golden"))
        for country in countries:
            path = folder / "countries" / f"{country}.md"
            path.write_text(path.read_text().replace("\n## Examples", f"\n{line}\n\n## Examples"))
        return folder

    return made


def model_calls() -> int:
    return int(read_model_stats()["requests"])


def preview_in(
    lab: Lab, folder: Path, *, dry_run: bool = False, noise: bool = False, **scope: Any
) -> tuple[Preview | None, list[str]]:
    told: list[str] = []
    resources = lab.resources
    found = preview_candidate_prompts(
        folder, resources["model"], resources["data"], Scope(**scope), dry_run=dry_run, noise=noise, say=told.append
    )
    return found, told


def of(found: Preview | None, country: str, feature: str, language: str = "all") -> dict[str, Any]:
    assert found is not None
    (row,) = found.changes.filter(
        pl.col("country") == country, pl.col("language") == language, pl.col("feature") == feature
    ).to_dicts()
    return row


def test_only_the_country_whose_file_differs_is_asked(held: Lab, candidate: Callable[..., Path]) -> None:
    """A note on Dutch irony was previewed in five countries, four of which it cannot change."""
    before = model_calls()
    found, told = preview_in(held, candidate("NL"), sample=10)
    assert model_calls() - before == 10
    assert found is not None
    assert found.calls == 10
    assert set(found.changes["country"]) == {"all", "NL"}
    assert of(found, "NL", "sentiment")["interactions"] == 40
    assert of(found, "NL", "sentiment", "en")["asked"] >= 2
    assert any(line.startswith("BE, ES, FR, PL: the prompt is the same") for line in told)


def test_a_candidate_that_changes_nothing_costs_nothing(held: Lab, candidate: Callable[..., Path]) -> None:
    """The wrong folder was given, and a full sample was paid to learn that it is equal."""
    before = model_calls()
    found, told = preview_in(held, candidate())
    assert found is None
    assert model_calls() == before
    assert told == ["BE, ES, FR, NL, PL: the prompt is the same, so nothing changes: 0 calls, $0."]


def test_a_repeated_preview_says_the_same_and_pays_nothing(held: Lab, candidate: Callable[..., Path]) -> None:
    """The second engineer who wanted to see the table paid for it again."""
    folder = candidate("NL", "BE")
    first, _ = preview_in(held, folder, sample=20)
    before = model_calls()
    again, _ = preview_in(held, folder, sample=20)
    assert model_calls() == before
    assert first is not None
    assert again is not None
    assert (again.calls, again.cost_usd, again.share_of_rerun) == (0, 0.0, 0.0)
    assert again.changes.equals(first.changes)
    assert again.directions.equals(first.directions)
    assert again.price == first.price


def test_a_later_full_rerun_asks_and_costs_only_what_the_preview_said(
    held: Lab, candidate: Callable[..., Path]
) -> None:
    """A preview whose answers are thrown away makes the rerun dearer, and is skipped the next time."""
    folder = candidate("NL")
    found, _ = preview_in(held, folder, sample=24)
    assert found is not None
    assert found.price["calls"] == 40 - 24
    adopted = held.with_settings(prompts_dir=folder)
    before = model_calls()
    for day in (DAY, NEXT):
        held.stack.answerer.forget_cache()  # a day's run finds the prompt cache cold
        run = adopted.process("NL", day, only=EXTRACT)
        assert run.success, run.errors
    assert model_calls() - before == 40 - 24
    bill = pl.concat([held.table("llm_extractions", "NL", day) for day in (DAY, NEXT)])
    assert bill["reused"].sum() == 24
    assert bill.filter(~pl.col("reused"))["cost_usd"].sum() == pytest.approx(found.price["cost_usd"], rel=0.1)


def test_a_dry_run_makes_no_call_and_writes_nothing(held: Lab, candidate: Callable[..., Path]) -> None:
    """The price has to be known before the first call, and not by making it."""
    bucket = {"Bucket": held.settings.data_bucket}
    before, objects = model_calls(), held.s3.list_objects_v2(**bucket)["KeyCount"]
    found, told = preview_in(held, candidate("NL"), dry_run=True, sample=10)
    assert found is None
    assert model_calls() == before
    assert held.s3.list_objects_v2(**bucket)["KeyCount"] == objects
    assert any("10 of 40 interactions in 2 strata" in line and "10 calls" in line for line in told)
    assert "40 calls" in told[-1]
    assert told[-1].endswith("Dry run: nothing was asked.")


def test_the_price_of_the_sample_is_said_before_the_first_call(held: Lab, candidate: Callable[..., Path]) -> None:
    """Ctrl-C is of use before the money is gone."""
    resources, calls_then = held.resources, []
    before = model_calls()
    preview_candidate_prompts(
        candidate("NL"),
        resources["model"],
        resources["data"],
        Scope(sample=10),
        dry_run=False,
        noise=False,
        say=lambda line: calls_then.append((line, model_calls() - before)),
    )
    assert [made for line, made in calls_then if line.startswith("Sample")] == [0]


def test_who_asks_all_is_told_the_truth(held: Lab, candidate: Callable[..., Path]) -> None:
    """The table in use says what no candidate answers in 6 of 40 rows, and scores a hair's breadth off in all."""

    def other(frame: pl.DataFrame) -> pl.DataFrame:
        rows = pl.int_range(pl.len()) < 3
        turned = pl.when(pl.col("sentiment") == "neutral").then(pl.lit("negative")).otherwise(pl.lit("neutral"))
        return frame.with_columns(
            sentiment=pl.when(rows).then(turned).otherwise("sentiment"),
            urgency_score=(pl.col("urgency_score") - 0.05).clip(0),
        )

    for day in (DAY, NEXT):
        held.overwrite("llm_extractions", other, day=day)
    found, told = preview_in(held, candidate("NL"), sample=1_000)
    row = of(found, "NL", "sentiment")
    assert row["asked"] == 40
    assert row["low"] == row["share"] == row["high"] == pytest.approx(0.15)
    assert of(found, "NL", "urgency_score")["share"] == 0.0
    assert of(found, "NL", EVERY_VALUE)["share"] == pytest.approx(0.15 / 7)
    assert found is not None
    assert found.price["calls"] == 0
    assert "100.0 % of the rerun" in " ".join(told)


def test_answers_that_fail_under_the_candidate_are_changes(held: Lab, candidate: Callable[..., Path]) -> None:
    """A candidate that the model refuses to answer looked harmless: no value differed."""
    held.stack.answerer.script = Script(refusal_rate=1.0)
    found, _ = preview_in(held, candidate("NL"), sample=20)
    assert of(found, "NL", "intent")["share"] == 1.0
    assert found is not None
    assert set(found.directions["becomes"]) == {"no answer"}


def test_what_the_service_failed_to_answer_says_nothing_of_the_prompt() -> None:
    """During an outage every prompt changes everything."""
    prompts = load_prompt_folder(PROMPTS)
    sample = pl.DataFrame([{"country": "NL", "language": "nl", "request_hash": key, **GOOD} for key in ("a", "b", "c")])
    outcomes = {
        "a": Outcome("a", answer=GOOD),
        "b": Outcome("b", error=Reason.SERVICE_FAILED),
        "c": Outcome("c", error=Reason.MODEL_REFUSED),
    }
    found = flag_field_changes(pair_sample_answers(sample, outcomes, prompts, prompts, "eu.anthropic.claude-haiku-5-5"))
    assert sorted(found[EVERY_VALUE]) == [0.0, 1.0]


def test_a_correction_of_scores_alone_is_previewed_without_a_call(held: Lab, candidate: Callable[..., Path]) -> None:
    """The model is told the same and answers the same; what its scores are read as is another matter."""
    folder = candidate()
    path = folder / "countries" / "NL.md"
    correction = (
        f"calibration: {{{held.settings.model_id}: {{urgency_score: {{threshold: 0.6, knots: [[0, 1], [1, 1]]}}}}}}"
    )
    path.write_text(path.read_text().replace("\n---\n", f"\n{correction}\n---\n", 1))
    before = model_calls()
    found, _ = preview_in(held, folder, sample=1_000)
    assert model_calls() == before
    table = pl.concat([held.table("llm_extractions", "NL", day) for day in (DAY, NEXT)])
    assert of(found, "NL", "urgency_score")["share"] == pytest.approx((table["urgency_score"] < 0.9).mean(), abs=0.05)
    assert of(found, "NL", "csat_indicator")["share"] == 0.0


def test_a_text_of_two_days_is_asked_once_and_kept_for_both(fast_lab: Lab, candidate: Callable[..., Path]) -> None:
    """The standard complaint of a storm stands in every day; each day's ledger must know its answer."""
    turns = [{"speaker": "customer", "text": "Mijn pakket is er niet."}]
    for day in (DAY, NEXT):
        made = document(str(day), turns=turns, occurred_at=f"{day}T09:30:00+00:00")
        fast_lab.land("NL", day, "a.jsonl", jsonl([made]))
        assert fast_lab.process(day=day, only=EXTRACT).success
    folder = candidate("NL")
    before = model_calls()
    found, _ = preview_in(fast_lab, folder, sample=2)
    assert found is not None
    assert (model_calls() - before, found.calls, found.price["calls"]) == (1, 1, 0)


def test_a_spent_budget_stops_the_preview_and_the_next_one_goes_on(held: Lab, candidate: Callable[..., Path]) -> None:
    """What was paid before the stop was lost with it."""
    folder = candidate("NL")
    before = model_calls()
    with pytest.raises(RunStopper, match="CS_FEATURES_MAX_COST_USD"):
        preview_in(held.with_settings(max_cost_usd=0.0005, max_concurrency=1), folder, sample=30)
    paid = model_calls() - before
    assert 0 < paid < 30
    found, _ = preview_in(held, folder, sample=30)
    assert found is not None
    assert found.calls == 30 - paid


def test_what_a_stopped_request_has_cost_is_on_the_bill_of_one_partition() -> None:
    """A first answer was paid for, its repair met a spent budget, and the dollars were in no ledger."""
    paid = Outcome("a", error=Reason.SERVICE_FAILED, cost_usd=0.01)
    stopper = RunStopper("the budget is spent")
    stopper.paid = paid
    first, second = MagicMock(known={}), MagicMock(known={})
    first.give_shipping_receipts.return_value = Receipts()
    extractor = MagicMock()
    extractor.ask.side_effect = stopper
    with pytest.raises(RunStopper):
        list(ask_planned_requests({"a": {}}, {"a": [first, second]}, extractor, {}, 1))
    first.record_call_outcome.assert_called_once_with(paid)
    second.record_call_outcome.assert_not_called()


def test_noise_is_what_changes_without_any_change(held: Lab, candidate: Callable[..., Path]) -> None:
    """'The new prompt changes 6 % of sentiment': so did the old one, asked twice."""
    folder = candidate("NL")
    quiet, told = preview_in(held, folder, noise=True, sample=20)
    assert quiet is not None
    assert quiet.noise is not None
    assert quiet.noise["asked"].to_list() == [5] * 8
    assert quiet.noise["share"].to_list() == [0.0] * 8
    assert not any("takes no temperature" in line for line in told)
    held.stack.answerer.script = Script(seed=7)  # the model changes its mind
    before = model_calls()
    loud, _ = preview_in(held, folder, noise=True, sample=20)
    assert model_calls() - before == 5
    assert loud is not None
    assert loud.noise is not None
    assert loud.noise.filter(pl.col("feature") == "summary")["share"].to_list() == [1.0]
    assert loud.changes.equals(quiet.changes)


def test_a_model_without_temperature_is_said_to_change_its_mind(held: Lab, candidate: Callable[..., Path]) -> None:
    """Haiku 5.5 takes none: part of every share is not the prompt's doing."""
    _, told = preview_in(held, candidate("NL"), sample=5)
    assert any("takes no temperature" in line for line in told)


def test_features_of_an_older_prompt_are_counted_and_said_to_be(held: Lab, candidate: Callable[..., Path]) -> None:
    """Half of the change was an edit of last week, for which nothing had been run again."""
    old = pl.lit("0123456789ab").alias("prompt_version")
    held.overwrite("llm_extractions", lambda frame: frame.with_columns(old))
    _, told = preview_in(held, candidate("NL"), sample=5)
    assert any(line.startswith("20 have features of an older prompt") for line in told)


def test_by_default_the_last_days_that_hold_extractions_are_previewed(
    held: Lab, candidate: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a quiet month 'the last 28 days' of the calendar are empty."""
    folder = candidate("NL")
    found, _ = preview_in(held, folder, sample=5)
    assert of(found, "NL", "intent")["interactions"] == 40
    monkeypatch.setattr("cs_features.planning.preview.plan.DAYS", 1)
    found, _ = preview_in(held, folder, sample=5)
    assert of(found, "NL", "intent")["interactions"] == 20
    found, _ = preview_in(held, folder, sample=5, last=DAY)
    assert of(found, "NL", "intent", "nl")["interactions"] == 20


def test_without_extractions_it_says_what_to_run(held: Lab, candidate: Callable[..., Path]) -> None:
    """An empty table of changes looked like good news."""
    folder = candidate("NL", "FR")
    with pytest.raises(RequestError, match="run process_interactions"):
        preview_in(held, folder, countries=["FR"])
    with pytest.raises(RequestError, match="2024"):
        preview_in(held, folder, last=date(2024, 5, 1))


# --- the command and the job ------------------------------------------------------------------


def command(lab: Lab, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("CS_FEATURES_LANDING_BUCKET", lab.settings.landing_bucket)
    monkeypatch.setenv("CS_FEATURES_DATA_BUCKET", lab.settings.data_bucket)
    monkeypatch.setenv("CS_FEATURES_REQUESTS_PER_MINUTE", "60000")
    monkeypatch.setattr(sys, "argv", ["preview", *arguments])
    return command_module.main()


def test_the_command_prints_shares_directions_and_prices_and_no_text(
    held: Lab,
    candidate: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A terminal's scrollback is no place for what customers write."""
    caplog.set_level("DEBUG", logger="cs_features")
    folder = candidate("NL", "BE")
    held.stack.answerer.script = Script(seed=3)
    arguments = ["--candidate", str(folder), "--sample", "30", "--noise", "--country", "NL", "BE"]
    assert command(held, monkeypatch, *arguments) == 0
    told = capfd.readouterr()
    for expected in ("30 of 60", "sentiment", "NL", "higher", "of the rerun", "asked again"):
        assert expected in told.out
    table = held.table("llm_extractions")
    assert SECRET not in told.out + told.err + caplog.text
    assert not any(summary in told.out + told.err + caplog.text for summary in table["summary"])


@pytest.mark.parametrize("damage", ["no folder", "no country", "broken"])
def test_a_candidate_that_cannot_be_used_is_named_before_any_call(
    damage: str,
    held: Lab,
    candidate: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Half a sample was paid when the second country's file turned out to be broken."""
    folder = candidate("NL")
    if damage == "no folder":
        shutil.rmtree(folder)
    elif damage == "no country":
        (folder / "countries" / "BE.md").unlink()
    else:
        (folder / "countries" / "BE.md").write_text("no front matter")
    before = model_calls()
    assert command(held, monkeypatch, "--candidate", str(folder)) == 2
    told = capsys.readouterr()
    assert str(folder) in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert model_calls() == before


def test_a_country_that_has_no_prompt_in_use_is_an_error_and_not_a_traceback(
    held: Lab, candidate: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The candidate brings a new country; there is nothing to compare its answers with."""
    folder = candidate("NL")
    german = (folder / "countries" / "NL.md").read_text().replace("country: NL", "country: DE")
    (folder / "countries" / "DE.md").write_text(german.replace('country="NL"', 'country="DE"'))
    assert command(held, monkeypatch, "--candidate", str(folder), "--country", "DE", "NL") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{PROMPTS / 'countries' / 'DE'}.md does not exist")


def run_job(lab: Lab, **config: Any) -> dg.ExecuteInProcessResult:
    return lab.definitions.resolve_job_def("preview_prompt").execute_in_process(
        run_config={"ops": {"ask_a_sample": {"config": config}}}, instance=lab.instance, raise_on_error=False
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    return {name: entry.value for name, entry in event.step_output_data.metadata.items()}


def test_the_job_shows_changes_directions_and_prices(held: Lab, candidate: Callable[..., Path]) -> None:
    """Who works in the Dagster UI should not need a shell to know what a prompt does."""
    held.stack.answerer.script = Script(seed=3)
    result = run_job(held, candidate=str(candidate("NL")), sample=10, noise=True)
    assert result.success
    shown = metadata_of(result)
    assert (shown["preview_calls"], shown["rerun_calls"]) == (10, 30)
    assert shown["rerun_cost_usd"] > 0
    assert [record.data["language"] for record in shown["changes_in_percent"].records] == ["all", "all", "en", "nl"]
    assert shown["directions"].records
    assert shown["changes_of_the_prompt_in_use"].records
    everything = str(shown) + "".join(str(entry) for entry in held.instance.all_logs(result.run_id))
    assert SECRET not in everything
    assert not any(summary in everything for summary in held.table("llm_extractions")["summary"])


def test_a_dry_run_of_the_job_tells_the_price_and_asks_nothing(held: Lab, candidate: Callable[..., Path]) -> None:
    """In the launchpad the budget is decided before the run."""
    before = model_calls()
    result = run_job(held, candidate=str(candidate("NL")), countries=["NL"], first=str(NEXT), dry_run=True)
    assert result.success
    assert model_calls() == before
    told = metadata_of(result)
    assert "20 calls" in told["told"]
    assert "changes_in_percent" not in told


def test_the_job_fails_in_a_sentence(held: Lab) -> None:
    """A traceback in the UI hides the path that was mistyped."""
    result = run_job(held, candidate="/nowhere/prompts")
    assert not result.success
    (event,) = result.get_step_failure_events()
    assert "/nowhere/prompts" in str(event.step_failure_data.error)


def test_the_ledger_of_each_day_has_its_own_answers(held: Lab, candidate: Callable[..., Path]) -> None:
    """All answers of a sample in one place are found by no partition's rerun."""
    data = held.resources["data"]
    before = {day: len(data.ledger(Partition("NL", day).folder).read_outcomes()) for day in (DAY, NEXT)}
    preview_in(held, candidate("NL"), sample=1_000)
    after = {day: len(data.ledger(Partition("NL", day).folder).read_outcomes()) for day in (DAY, NEXT)}
    assert {day: after[day] - before[day] for day in after} == {DAY: 20, NEXT: 20}


def test_sizes_are_counted_by_country_and_language() -> None:
    """The weights of everything else."""
    frame = pl.DataFrame({"country": ["NL", "BE", "NL"], "language": ["nl", "nl", "nl"]})
    assert count_population_strata(frame).rows() == [("BE", "nl", 1), ("NL", "nl", 2)]
