"""The drift test on invented customers: what it calls, what it does not, and how often it is wrong."""

from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cs_features.extraction.prompts import load_prompt_folder
from cs_features.monitoring import drift
from cs_features.monitoring.distributions import COLUMNS, FEATURES, MIX, SCORES, count_feature_distributions
from cs_features.monitoring.drift import (
    ALPHA,
    BASELINE_WEEKS,
    RELEVANT,
    adjust_by_holm,
    find_new_versions,
    judge_country_drift,
    summarize_drift_verdicts,
)
from cs_features.validation.tables import features_schema
from cs_features_tests.support.customers import DAYS, FIRST, MONDAY, WEEK, customers, moved, usual
from cs_features_tests.support.lab import PROMPTS

pytestmark = pytest.mark.heavy


def of(week: pl.DataFrame, baseline: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The verdicts by feature."""
    return {
        row["feature"]: row
        for row in judge_country_drift(*count_feature_distributions(week, baseline)).iter_rows(named=True)
    }


def drifted(week: pl.DataFrame, baseline: pl.DataFrame) -> set[str]:
    return {name for name, row in of(week, baseline).items() if row["verdict"] == "drifted"}


def line(week: pl.DataFrame, baseline: pl.DataFrame) -> str:
    return summarize_drift_verdicts(
        judge_country_drift(*count_feature_distributions(week, baseline)), find_new_versions(week, baseline)
    )


# --- how often it is wrong --------------------------------------------------------------------


def false_alarms(weeks: int, spread: float, memory: float) -> int:
    """In how many weeks in which nothing changed something is called drifted."""
    return sum(bool(drifted(*customers(seed, 100, spread=spread, memory=memory))) for seed in range(weeks))


usual_days = pytest.mark.parametrize(
    ("spread", "memory"),
    [
        pytest.param(0.0, 0.0, id="every interaction for itself"),
        pytest.param(0.15, 0.0, id="days differ"),
        pytest.param(0.15, 0.5, id="days differ and resemble the day before"),
    ],
)


@usual_days
def test_a_country_in_which_nothing_changes_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, spread: float, memory: float
) -> None:
    """The chi-square test called drift in every second week, because an interaction is like others of its day;
    after a month nobody opened the warnings any more."""
    monkeypatch.setattr(drift, "REARRANGEMENTS", 1_999)
    # One of 100 weeks is promised. A test that is wrong as that one was finds ten of these.
    assert false_alarms(20, spread, memory) <= 2


@pytest.mark.slow  # a minute: how often exactly
@usual_days
def test_a_country_in_which_nothing_changes_is_left_alone_in_99_of_100_weeks(
    monkeypatch: pytest.MonkeyPatch, spread: float, memory: float
) -> None:
    monkeypatch.setattr(drift, "REARRANGEMENTS", 1_999)
    # More than six would come of the promise in one trial of 200.
    assert false_alarms(200, spread, memory) <= 6


def test_days_that_remember_each_other_for_weeks_are_no_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a storm customers were angry for a fortnight, and after it calm for another: rearranged days forget that,
    and every such week was called. Four weeks of four are, when the distances are not stretched."""
    monkeypatch.setattr(drift, "REARRANGEMENTS", 1_999)
    assert [drifted(*customers(seed, spread=0.3, memory=0.9)) for seed in range(4)] == [set()] * 4


def test_an_outage_day_is_no_drift() -> None:
    """On Tuesday the app was down and half the customers said so. It is over; nobody needs to look at the prompt."""
    shares = usual("primary_topic")
    shares[WEEK.start + 1] *= 0.5
    shares[WEEK.start + 1, 7] += 0.5 * shares[0].sum()
    week, baseline = customers(1, 700, spread=0.05, shares={"primary_topic": shares})
    row = of(week, baseline)["primary_topic"]
    assert row["verdict"] == "steady"
    assert row["effect"] > RELEVANT
    assert p_value_of_chi_square(week, baseline, "primary_topic") < 1e-30


def p_value_of_chi_square(week: pl.DataFrame, baseline: pl.DataFrame, name: str) -> float:
    from scipy.stats import chi2_contingency

    both = pl.concat([week.with_columns(side=0), baseline.with_columns(side=1)])
    table = both.group_by(name).agg(a=(pl.col("side") == 0).sum(), b=(pl.col("side") == 1).sum())
    return float(chi2_contingency(table.select("a", "b").to_numpy()).pvalue)


def test_weekends_that_differ_are_no_drift_of_a_week_without_one() -> None:
    """Looked at on a Friday evening, the week that was going on seemed to have lost all its weekend customers."""
    shares = usual("channel")
    shares[np.arange(DAYS) % 7 >= 5] = [0.1, 0.1, 0.1, 0.7]
    week, baseline = customers(2, shares={"channel": shares})
    until_friday = week.filter(pl.col("event_time").dt.weekday() <= 5)
    assert drifted(until_friday, baseline) == set()
    assert of(until_friday, baseline)["channel"]["effect"] < RELEVANT


# --- what it finds ----------------------------------------------------------------------------


def test_ten_points_at_2000_rows_a_week_are_found_and_said_in_one_line() -> None:
    """The new prompt took Dutch irony for anger: a tenth of the customers changed sides and no rule was broken."""
    found = [customers(seed, spread=0.1, shares=moved(WEEK, 10)) for seed in range(4)]
    assert [drifted(*frames) for frames in found] == [{"sentiment"}] * 4
    week, baseline = found[0]
    side = "negative" if "negative" in line(week, baseline) else "positive"
    was, now = (100 * (frame["sentiment"] == side).mean() for frame in (baseline, week))  # type: ignore[operator]
    assert line(week, baseline) == f"sentiment {side} {was:.0f} % -> {now:.0f} %"


def test_the_same_ten_points_at_20_rows_are_too_few_to_tell() -> None:
    """A small country had a warning every Monday, about three customers."""
    week, baseline = customers(3, shares=moved(WEEK, 10))
    row = of(week.sample(20, seed=1), baseline)["sentiment"]
    assert (row["verdict"], row["p_value"]) == ("too few", None)
    assert line(week.sample(20, seed=1), baseline).startswith("Too few to tell: 20 rows against ")


def test_half_a_point_at_200000_rows_is_significant_and_no_drift() -> None:
    """With so many rows every difference is real, and most do not matter."""
    generator = np.random.default_rng(4)
    per_day = 200_000 // 7

    def sentiments(days: int, negative: float) -> Any:
        return np.where(generator.random(days * per_day) < negative, "negative", "neutral")

    week, baseline = everyone_alike(7, per_day), everyone_alike(7 * BASELINE_WEEKS, per_day)
    row = of(
        week.with_columns(sentiment=pl.Series(sentiments(7, 0.255))),
        baseline.with_columns(sentiment=pl.Series(sentiments(7 * BASELINE_WEEKS, 0.25))),
    )["sentiment"]
    assert row["week_rows"] > 199_000
    assert row["p_value"] <= ALPHA
    assert (row["verdict"], round(row["effect"], 3)) == ("steady", 0.005)


def everyone_alike(days: int, rows_a_day: int) -> pl.DataFrame:
    """The week, or the days before it."""
    first = datetime(MONDAY.year, MONDAY.month, MONDAY.day, tzinfo=timezone.utc) - timedelta(
        days=days if days > 7 else 0
    )
    texts = {name: "the same" for name, kind in COLUMNS.items() if kind == pl.String}
    return (
        pl.DataFrame({"event_time": [first + timedelta(days=day) for day in range(days)]})
        .select(pl.col("event_time").cast(COLUMNS["event_time"]).repeat_by(rows_a_day).explode())
        .with_columns(**{name: pl.lit(text) for name, text in texts.items()}, **{name: pl.lit(0.5) for name in SCORES})
        .select(*COLUMNS)
    )


def test_a_prompt_that_changed_on_a_thursday_is_found_a_week_later_at_the_latest() -> None:
    """Half of the week was still as before, so the first Monday was silent; the second must not take it for usual."""
    from_thursday = slice(WEEK.start - 4, DAYS)
    assert all(
        "sentiment" in drifted(*customers(seed, spread=0.05, shares=moved(from_thursday, 10))) for seed in range(5)
    )


def test_scores_and_lengths_drift_too() -> None:
    """Summaries came out too terse after a change of model, each of them a valid summary."""
    week, baseline = customers(5)
    week = week.with_columns(
        pl.col("summary").str.slice(0, 90), urgency_score=(pl.col("urgency_score") + 0.1).clip(0, 1)
    )
    assert drifted(week, baseline) == {"summary", "urgency_score"}
    assert "summary longer than 90 characters 8" in line(week, baseline)
    assert "urgency_score above 0." in line(week, baseline)


# --- why --------------------------------------------------------------------------------------


def test_drift_that_the_mix_of_languages_explains_says_so() -> None:
    """A campaign abroad brought English customers, who complain more. A day went into a prompt that was innocent."""
    shares = usual("language")
    shares[WEEK] = [0.4, 0.55, 0.03, 0.02]
    week, baseline = (
        frame.with_columns(
            sentiment=pl.when(pl.col("language") == "en").then(pl.lit("negative")).otherwise(pl.lit("neutral"))
        )
        for frame in customers(6, shares={"language": shares})
    )
    row = of(week, baseline)["sentiment"]
    assert row["verdict"] == "drifted"
    assert row["effect"] > 0.3
    assert row["effect_same_mix"] < 0.01
    said = line(week, baseline)
    assert "% (explained by the mix); the mix: language " in said


def test_a_mix_that_changed_alone_is_told_and_no_feature_is_blamed() -> None:
    """More mail and fewer chats, and the same customers in them."""
    shares = usual("channel")
    shares[WEEK] = [0.3, 0.5, 0.15, 0.05]
    week, baseline = customers(7, shares={"channel": shares})
    assert drifted(week, baseline) == {"channel"}
    assert line(week, baseline).startswith("Steady, ")
    assert "; the mix: channel " in line(week, baseline)


def test_drift_that_the_mix_does_not_explain_keeps_its_effect_at_the_same_mix() -> None:
    week, baseline = customers(8, shares=moved(WEEK, 15))
    row = of(week, baseline)["sentiment"]
    assert abs(row["effect_same_mix"] - row["effect"]) < 0.01
    assert "explained" not in line(week, baseline)


def test_a_prompt_or_model_that_is_new_in_the_week_is_named() -> None:
    """The first question to a drift is what we changed ourselves."""
    week, baseline = customers(9)
    newer = week.with_columns(prompt_version=pl.lit("3f2a"))
    assert line(newer, baseline).endswith("; new: prompt_version 3f2a")
    assert "new" not in line(week, baseline)
    assert find_new_versions(newer, baseline.clear()) == []


# --- what cannot be told ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "weeks", "verdict"),
    [
        pytest.param(7, 0, "too few", id="the first week of a country"),
        pytest.param(7, 3, "too few", id="three weeks do not show what is usual"),
        pytest.param(3, 8, "too few", id="until Wednesday nothing can be significant"),
        pytest.param(4, 8, "drifted", id="from Thursday on it can"),
        pytest.param(7, 4, "drifted", id="four weeks do"),
    ],
)
def test_what_cannot_be_told_is_too_few_and_no_crash(days: int, weeks: int, verdict: str) -> None:
    """A check that passes on every Tuesday because it cannot fail must not say that all is well."""
    week, baseline = customers(10, shares=moved(WEEK, 25))
    week = week.filter(pl.col("event_time").dt.weekday() <= days)
    baseline = baseline.filter(pl.col("event_time").dt.date() >= MONDAY - timedelta(weeks=weeks))
    assert of(week, baseline)["sentiment"]["verdict"] == verdict


def test_the_columns_are_those_of_validated_features() -> None:
    schema = features_schema(load_prompt_folder(PROMPTS).answer_model, "NL")
    assert {name: schema.columns[name].dtype.type for name in COLUMNS} == dict(COLUMNS)


def test_the_same_weeks_give_the_same_answer_in_any_order() -> None:
    """A warning that comes and goes with a rerun is not believed."""
    week, baseline = customers(11, 60, spread=0.15)
    mixed = week.sample(fraction=1, shuffle=True, seed=1), baseline.sample(fraction=1, shuffle=True, seed=2)
    first, second = (
        judge_country_drift(*count_feature_distributions(week, baseline)),
        judge_country_drift(*count_feature_distributions(*mixed)),
    )
    assert first.drop("effect_same_mix").equals(second.drop("effect_same_mix"))
    assert (first["effect_same_mix"] - second["effect_same_mix"]).abs().max() < 1e-12  # type: ignore[operator]


def test_holms_adjustment_is_that_of_the_textbook() -> None:
    adjusted = adjust_by_holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert adjusted.round(6).tolist() == [0.03, 0.06, 0.06, 0.02]


def a_frame(first: date, days: int) -> st.SearchStrategy[pl.DataFrame]:
    moments = st.datetimes(
        datetime(first.year, first.month, first.day),
        datetime(first.year, first.month, first.day) + timedelta(days=days),
    )
    row = st.fixed_dictionaries(
        {
            "event_time": moments,
            **{name: st.sampled_from(["a", "b", "Ω", ""]) for name in COLUMNS if COLUMNS[name] == pl.String},
            **dict.fromkeys(SCORES, st.floats(0, 1)),
        }
    )
    # Repeated, because most frames that hypothesis makes are small.
    return st.tuples(st.lists(row, max_size=40), st.sampled_from([1, 30])).map(
        lambda made: pl.DataFrame(
            made[0] * made[1], schema={**COLUMNS, "event_time": pl.Datetime("us")}, orient="row"
        ).with_columns(pl.col("event_time").dt.replace_time_zone("UTC"))
    )


@hypothesis_settings(max_examples=60)
@given(a_frame(MONDAY, 6), a_frame(FIRST, 55))
def test_no_frames_of_the_schema_break_it(week: pl.DataFrame, baseline: pl.DataFrame) -> None:
    """A country's first week, a week with one channel, a day with one row: Monday's run must not fail of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drift, "REARRANGEMENTS", 199)
        frame = judge_country_drift(*count_feature_distributions(week, baseline))
    assert frame["feature"].to_list() == [*FEATURES, *MIX]
    assert set(frame["verdict"]) <= {"drifted", "steady", "too few"}
    assert frame["effect"].is_between(0, 1 + 1e-9).all()
    assert frame["p_value"].drop_nulls().is_between(0, 1, closed="right").all()
    assert frame["week_rows"].unique().to_list() == [week.height]
    assert summarize_drift_verdicts(frame, find_new_versions(week, baseline))
