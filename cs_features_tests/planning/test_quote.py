"""The quote: free, close to the bill that follows, honest where it knows nothing, plain on the command line."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.cli import quote as quote_command
from cs_features.environments import Settings
from cs_features.errors import RequestError
from cs_features.extraction.models import capabilities_of
from cs_features.orchestration.failures import RETRY
from cs_features.partitions import Partition
from cs_features.planning.history import limit_by_account, list_stale_partitions, quote_landed_documents
from cs_features.planning.quote import (
    MIN_HISTORY_CALLS,
    Habits,
    Queue,
    Quote,
    assume_country_habits,
    build_quote_frame,
    estimate_wall_minutes,
    learn_habits,
    list_partitions,
    quote_requests,
)
from cs_features.planning.requests import Calendar, parse_day, require_known_countries
from cs_features.services import build_services_from
from cs_features_tests.support.aws_answers import HAIKU, SERVICE_QUOTAS, counting, quotas, refusing
from cs_features_tests.support.desk import DEFAULT, PROMPTS_READ, requests_of
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.http import read_model_stats
from cs_features_tests.support.lab import PROMPTS, REPOSITORY, Lab

EXTRACT = ["raw_interactions", "llm_extractions"]
NEXT = DAY + timedelta(days=1)
WORDS = ("pakket", "factuur", "storing", "levering", "router", "contract", "verhuizing", "korting")


@pytest.fixture
def fast_lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(requests_per_minute=60_000)


def documents(day: date, first: int, last: int) -> bytes:
    """Interactions of quite different lengths, each its own."""
    return jsonl(
        document(
            f"{day} {number}",
            occurred_at=f"{day}T09:30:00+00:00",
            turns=[
                {"speaker": "customer", "text": f"Vraag {number} van {day}: " + "waar blijft mijn " * (number % 17)},
                {"speaker": "agent", "text": " ".join(WORDS[(number + each) % 8] for each in range(number % 23 + 1))},
            ],
        )
        for number in range(first, last)
    )


def model_calls() -> int:
    return int(read_model_stats()["requests"])


def quote_in(lab: Lab, *days: date, country: str = "NL") -> list[Quote]:
    resources = lab.resources
    partitions = [Partition(country, day) for day in days]
    return quote_landed_documents(partitions, resources["landing"], resources["data"], resources["model"])


def run_on_another_day(lab: Lab, day: date) -> Any:
    """A run that finds the prompt cache cold, as it is in the morning."""
    lab.stack.answerer.forget_cache()
    run = lab.process(day=day, only=EXTRACT)
    assert run.success, run.errors
    return run.metadata("llm_extractions")


def agrees(quoted: Quote, bill: Any) -> None:
    assert quoted.calls == bill["calls"]
    assert quoted.cost_usd == pytest.approx(bill["cost_usd"], rel=0.05)
    for kind in ("cache_read_tokens", "cache_write_tokens", "output_tokens"):
        assert getattr(quoted, kind) == pytest.approx(bill[kind], rel=0.1)


def test_the_quote_of_a_fresh_day_is_within_five_percent_of_its_bill(fast_lab: Lab) -> None:
    """A quote by the model's stated rates is 30 % off when the tokenizer is another one; yesterday's calls know."""
    fast_lab.land("NL", DAY, "a.jsonl", documents(DAY, 0, 60))
    run_on_another_day(fast_lab, DAY)
    fast_lab.land("NL", NEXT, "a.jsonl", documents(NEXT, 100, 150))
    (quoted,) = quote_in(fast_lab, NEXT)
    assert (quoted.interactions, quoted.calls, quoted.in_ledger, quoted.learned_from_calls) == (50, 50, 0, 60)
    agrees(quoted, run_on_another_day(fast_lab, NEXT))


def test_the_quote_of_a_half_done_day_is_within_five_percent_of_what_is_left(fast_lab: Lab) -> None:
    """A quote for the whole day again made an operator wait for a budget that a tenth of it would have met."""
    fast_lab.land("NL", DAY, "a.jsonl", documents(DAY, 0, 40))
    run_on_another_day(fast_lab, DAY)
    fast_lab.land("NL", DAY, "b.jsonl", documents(DAY, 40, 80))
    (quoted,) = quote_in(fast_lab, DAY)
    assert (quoted.interactions, quoted.calls, quoted.in_ledger, quoted.learned_from_calls) == (80, 40, 40, 40)
    agrees(quoted, run_on_another_day(fast_lab, DAY))
    (done,) = quote_in(fast_lab, DAY)
    assert (done.calls, done.in_ledger, done.cost_usd, done.minutes) == (0, 80, 0.0, 0.0)


def test_a_quote_makes_no_call_and_writes_nothing(fast_lab: Lab) -> None:
    """A quote that costs something is a bill."""
    fast_lab.land("NL", DAY, "a.jsonl", documents(DAY, 0, 30))
    before = model_calls()
    (quoted,) = quote_in(fast_lab, DAY)
    assert quoted.calls == 30
    assert model_calls() == before
    assert "Contents" not in fast_lab.s3.list_objects_v2(Bucket=fast_lab.settings.data_bucket, Prefix="ledger/")


def test_without_any_history_the_quote_says_so_and_is_of_the_right_size(fast_lab: Lab) -> None:
    """A guess that looks like a measurement is believed like one."""
    fast_lab.land("NL", DAY, "a.jsonl", documents(DAY, 0, 40))
    (quoted,) = quote_in(fast_lab, DAY)
    assert quoted.learned_from_calls == 0
    bill = run_on_another_day(fast_lab, DAY)
    assert 0.5 < quoted.cost_usd / bill["cost_usd"] < 2


def test_another_countrys_calls_teach_nothing(fast_lab: Lab) -> None:
    """Polish has half as many characters a token again; its prefix is another one."""
    fast_lab.land("NL", DAY, "a.jsonl", documents(DAY, 0, 30))
    run_on_another_day(fast_lab, DAY)
    fast_lab.land("BE", NEXT, "a.jsonl", jsonl([document(1, country="BE", occurred_at=f"{NEXT}T09:30:00+00:00")]))
    (quoted,) = quote_in(fast_lab, NEXT, country="BE")
    assert (quoted.calls, quoted.learned_from_calls) == (1, 0)


def test_masking_that_is_switched_on_is_priced_and_may_start_from_a_day(make_lab: Callable[..., Lab]) -> None:
    """Masked texts are other requests: switched on for a country, a year of answers would have been paid again, and
    the first that anybody heard of it would have been the bill."""
    lab = make_lab(requests_per_minute=60_000, unmasked_countries="NL")
    turns = [[{"speaker": "customer", "text": f"Bel mij op 06-123456{n:02d}, zaak {n}."}] for n in range(12)]
    with_number = [document(n, turns=turns[n]) for n in range(12)]
    lab.land("NL", DAY, "a.jsonl", jsonl([*with_number, *(document(n) for n in range(20, 40))]))
    run_on_another_day(lab, DAY)
    (off,) = quote_in(lab, DAY)
    (later,) = quote_in(lab.with_settings(unmasked_countries="", masked_from=NEXT), DAY)
    assert (off.calls, later.calls, later.in_ledger) == (0, 0, 32)
    masked = lab.with_settings(unmasked_countries="")
    (quoted,) = quote_in(masked, DAY)
    assert (quoted.calls, quoted.in_ledger) == (12, 20), "only those with something to hide are asked again"
    assert quoted.cost_usd > 0
    agrees(quoted, run_on_another_day(masked, DAY))
    assert [each.calls for each in quote_in(masked, DAY)] == [0]


def test_identical_interactions_are_quoted_once_and_rejects_not_at_all(fast_lab: Lab) -> None:
    """They are asked once and never."""
    same = document("same")["turns"]
    lines = [document(1, turns=same), document(2, turns=same), document(3, channel="fax"), b"{"]
    fast_lab.land("NL", DAY, "a.jsonl", jsonl(lines))
    (quoted,) = quote_in(fast_lab, DAY)
    assert (quoted.interactions, quoted.calls) == (2, 1)


def test_days_without_documents_are_not_in_the_quote(fast_lab: Lab) -> None:
    """A month of five countries would be 150 lines of zeros."""
    fast_lab.land("NL", NEXT, "a.jsonl", documents(NEXT, 0, 1))
    assert [each.partition for each in quote_in(fast_lab, DAY, NEXT)] == [f"NL {NEXT}"]


def test_calls_of_any_day_teach_also_those_after_and_with_an_older_prompt(fast_lab: Lab) -> None:
    """ "Nothing was extracted for the country before", though it was, 40 days away, and one edit ago (fault 47)."""
    far = DAY + timedelta(days=40)
    fast_lab.land("NL", far, "a.jsonl", documents(far, 0, 30))
    run_on_another_day(fast_lab, far)
    older = pl.lit("0123456789ab").alias("prompt_version")
    fast_lab.overwrite("llm_extractions", lambda table: table.with_columns(older), day=far)
    fast_lab.land("NL", DAY, "a.jsonl", documents(DAY, 0, 5))
    (quoted,) = quote_in(fast_lab, DAY)
    assert (quoted.calls, quoted.learned_from_calls) == (5, 30)
    assert quoted.learned_from == f"{far} to {far}"
    no_text = pl.lit(None, pl.String()).alias("payload")  # as retention leaves it
    fast_lab.overwrite("raw_interactions", lambda table: table.with_columns(no_text), day=far)
    assert quote_in(fast_lab, DAY)[0].learned_from_calls == 0


def test_a_day_teaches_what_its_own_calls_with_an_older_prompt_were_like(fast_lab: Lab, tmp_path: Path) -> None:
    """The only day of a country was quoted for another prompt: "nothing was extracted before", and a guess (fault
    47)."""
    fast_lab.land("NL", DAY, "a.jsonl", documents(DAY, 0, 30))
    run_on_another_day(fast_lab, DAY)
    edited = Path(shutil.copytree(PROMPTS, tmp_path / "prompts"))
    with (edited / "instructions.md").open("a") as instructions:
        instructions.write("Be brief.\n")
    (quoted,) = quote_in(fast_lab.with_settings(prompts_dir=edited), DAY)
    assert (quoted.calls, quoted.learned_from_calls, quoted.learned_from) == (30, 30, f"{DAY} to {DAY}")
    fast_lab.land("NL", DAY, "b.jsonl", documents(DAY, 30, 32))
    (quoted,) = quote_in(fast_lab, DAY)
    assert (quoted.calls, quoted.learned_from_calls) == (2, 30), "of the table and the ledger each call counts once"


def test_calls_of_another_model_teach_nothing(fast_lab: Lab) -> None:
    """Another tokenizer, another speed."""
    fast_lab.land("NL", DAY, "a.jsonl", documents(DAY, 0, 30))
    run_on_another_day(fast_lab, DAY)
    fast_lab.land("NL", NEXT, "a.jsonl", documents(NEXT, 0, 5))
    other = fast_lab.with_settings(model_id="eu.amazon.nova-lite-v1:0")
    assert quote_in(other, NEXT)[0].learned_from_calls == 0


def test_what_another_prompt_or_model_has_made_is_stale_and_quoted_alone(fast_lab: Lab) -> None:
    """After an edit, nothing said which partitions, or what they cost to make anew (fault 50)."""
    for day in (DAY, NEXT):
        fast_lab.land("NL", day, "a.jsonl", documents(day, 0, 3))
        assert fast_lab.process(day=day).success
    older = pl.lit("0123456789ab").alias("prompt_version")
    fast_lab.overwrite("validated_features", lambda table: table.with_columns(older), day=NEXT)
    partitions = [Partition("NL", day) for day in (DAY, NEXT, NEXT + timedelta(days=1))]
    data, model = fast_lab.resources["data"], fast_lab.resources["model"]
    assert list_stale_partitions(partitions, data, model) == [Partition("NL", NEXT)]
    other = fast_lab.with_settings(model_id="eu.amazon.nova-lite-v1:0").resources["model"]
    assert list_stale_partitions(partitions, data, other) == partitions[:2]


# --- the arithmetic ---------------------------------------------------------------------------


def frame(rows: list[tuple[int, int, int, int]]) -> pl.DataFrame:
    names = ("characters", "prompt_tokens", "output_tokens", "latency_ms")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int64()), orient="row")


@pytest.mark.heavy
@given(
    st.integers(500, 4_000),
    st.sampled_from([0.25, 0.5, 1.0]),
    st.lists(st.integers(1, 2_000), min_size=MIN_HISTORY_CALLS, max_size=60),
)
def test_prefix_and_tokens_a_character_are_found_from_past_calls(prefix: int, rate: float, texts: list[int]) -> None:
    """The two are priced ten times apart, so their sum is not enough."""
    calls = frame([(4 * each, prefix + round(4 * each * rate), 80, 1_000) for each in texts])
    habits = learn_habits(calls)
    assert habits is not None
    assert (habits.calls, habits.output, habits.latency_ms) == (len(texts), 80, 1_000)
    for characters in (min(texts) * 4, max(texts) * 4):
        assert habits.prefix + habits.per_character * characters == pytest.approx(prefix + rate * characters, rel=1e-6)
    if len(set(texts)) > 1:
        assert habits.prefix == pytest.approx(prefix, rel=1e-6)


def test_a_handful_of_calls_is_no_history() -> None:
    """A line through two points is always a perfect fit."""
    rows = [(100 * number, 2_000 + 30 * number, 80, 900) for number in range(MIN_HISTORY_CALLS - 1)]
    assert learn_habits(frame(rows)) is None
    assert learn_habits(frame([*rows, (7, 2_002, 80, 900)])) is not None


HABITS = Habits(prefix=2_000, per_character=0.25, output=100, latency_ms=1_200, calls=500)


def quoted_for(habits: Habits = HABITS, count: int = 100, model: Any = DEFAULT, **limits: Any) -> Quote:
    settings = Settings(max_concurrency=10).model_copy(update=limits)
    return quote_requests("NL", count, requests_of(*range(count)), [], habits, model, settings)  # type: ignore[arg-type]


def test_the_first_call_writes_the_prefix_and_the_others_read_it() -> None:
    """Quoted without the cache a day costs four times its bill; quoted without the write it costs less than it."""
    quoted = quoted_for()
    assert quoted.cache_write_tokens == 2_000
    assert quoted.cache_read_tokens == 99 * 2_000
    own = quoted.input_tokens
    expected = (own * 0.11 + 2_000 * 0.1375 + 99 * 2_000 * 0.011 + 100 * 100 * 0.55) / 1e6
    assert quoted.cost_usd == pytest.approx(expected)


def test_below_the_models_minimum_nothing_is_quoted_as_cached() -> None:
    """Haiku 4.5 caches from 4,096 tokens on: a prefix of 2,000 is paid in full at every call."""
    quoted = quoted_for(model=capabilities_of("eu.anthropic.claude-haiku-4-5-20251001-v1:0"))
    assert quoted.cache_read_tokens == quoted.cache_write_tokens == 0
    assert quoted.input_tokens > 100 * 2_000


def test_the_minutes_are_those_of_the_tightest_limit() -> None:
    """'Two minutes' for a run that the quota stretches to a morning."""
    assert quoted_for().minutes == pytest.approx(100 * 1.2 / 10 / 60)
    assert quoted_for(requests_per_minute=20.0).minutes == pytest.approx(5)
    by_tokens = quoted_for(tokens_per_minute=10_000.0)
    settled = by_tokens.input_tokens + by_tokens.cache_write_tokens + 10 * by_tokens.output_tokens
    assert by_tokens.minutes == pytest.approx(settled / 10_000)


def test_what_the_ledger_knows_is_not_quoted_again_whatever_kind_of_collection_it_is() -> None:
    """An iterator was used up at the first request, and the rest of the day was quoted as new."""
    requests = requests_of(*range(10))
    known = [key for number, key in enumerate(requests) if number % 2]
    settings: Any = Settings()
    for given_as in (known, set(known), dict.fromkeys(known), iter(known)):
        quoted = quote_requests("NL", 10, requests, given_as, HABITS, DEFAULT, settings)
        assert (quoted.calls, quoted.in_ledger) == (5, 5)


def test_the_assumed_prefix_is_what_the_model_is_told() -> None:
    """Tool, instructions and country block: without one of them the first quote is a third too low."""
    habits = assume_country_habits(PROMPTS_READ, "NL", DEFAULT)
    characters = len(PROMPTS_READ.instructions) + len(PROMPTS_READ.countries["NL"].body)
    assert habits.calls == 0
    assert habits.prefix > characters * DEFAULT.tokens_per_character
    assert habits.per_character == DEFAULT.tokens_per_character


def test_the_last_row_is_the_sum() -> None:
    """The dollars of a backfill are read from one line."""
    table = build_quote_frame([quoted_for(count=3), quoted_for(count=5)], wall_minutes=7.0)
    assert table["partition"].to_list() == ["NL", "NL", "all"]
    assert table["calls"].to_list() == [3, 5, 8]
    assert table["cost_usd"][2] == pytest.approx(table["cost_usd"][0] + table["cost_usd"][1])
    assert table["minutes"][2] == 7.0
    assert build_quote_frame([], 0.0)["calls"].to_list() == [0]


def test_a_range_has_both_its_ends() -> None:
    """A quote without the last day of the month is 3 % short."""
    found = list_partitions(["NL", "BE"], date(2025, 3, 30), date(2025, 4, 1))
    assert len(found) == 6
    assert {each.date for each in found} == {date(2025, 3, 30), date(2025, 3, 31), date(2025, 4, 1)}


def test_the_minutes_of_a_backfill_are_those_until_its_last_run_has_ended() -> None:
    """A month was quoted as 1.1 minutes and took 17: runs wait for each other, and each must start (fault 47)."""
    day = replace(quoted_for(count=1), minutes=1.1 / 150)
    month = [day] * 150
    limits: Any = Settings()
    assert 12 < estimate_wall_minutes(month, Queue(), limits) < 20
    assert estimate_wall_minutes(month, Queue(runs_at_once=10), limits) < 4
    assert estimate_wall_minutes([], Queue(), limits) == 0


def test_a_long_run_does_not_hold_up_those_beside_it() -> None:
    """Added up and halved, a day of an hour among forty of a second looked like half an hour."""
    long, short = replace(quoted_for(), minutes=60.0), replace(quoted_for(), minutes=1.0)
    queue, limits = Queue(runs_at_once=2, seconds_a_run=0), Settings()
    assert estimate_wall_minutes([long, *[short] * 40], queue, limits) == 60.0  # type: ignore[arg-type]


def test_runs_at_once_share_one_quota() -> None:
    """Ten runs at twenty requests a minute are not two hundred."""
    limits: Any = Settings(requests_per_minute=20.0)
    month = [quoted_for(count=100, requests_per_minute=20.0)] * 10
    assert estimate_wall_minutes(month, Queue(runs_at_once=10), limits) == pytest.approx(50)


# --- what can be asked for --------------------------------------------------------------------

CALENDAR = Calendar(first=date(2025, 1, 1), today=date(2025, 3, 10))


@pytest.mark.parametrize(
    ("first", "last", "sentence"),
    [
        (date(2025, 3, 5), date(2025, 3, 4), "is after the last"),
        (date(2024, 12, 31), date(2025, 3, 4), "CS_FEATURES_FIRST_DATE"),
        (date(2025, 3, 4), date(2025, 3, 11), "2025-03-11 is still to come"),
        (None, date(2024, 1, 1), "CS_FEATURES_FIRST_DATE"),
    ],
)
def test_days_that_cannot_be_meant_are_refused(first: date | None, last: date, sentence: str) -> None:
    """Quoted as an empty table, and previewed as nothing changed (fault 48)."""
    with pytest.raises(RequestError, match=sentence):
        CALENDAR.require_valid_days(first, last)


def test_the_first_day_and_today_can_be_asked_for() -> None:
    CALENDAR.require_valid_days(CALENDAR.first, CALENDAR.today)
    CALENDAR.require_valid_days(None, None)


@pytest.mark.parametrize("text", ["yesterday", "2025-02-30", "04-03-2025", "", "2025-3"])
def test_what_is_no_day_is_refused_with_how_to_write_one(text: str) -> None:
    """A traceback of `fromisoformat` in the launchpad (fault 48)."""
    with pytest.raises(RequestError, match="write YYYY-MM-DD"):
        parse_day(text)


def test_a_country_that_does_not_exist_is_refused_and_no_country_means_all() -> None:
    """A quote for "UK" was $0, and a quote for nl was, too (fault 48)."""
    assert require_known_countries([], ["NL", "BE"]) == ["BE", "NL"]
    assert require_known_countries(["NL", "NL"], ["NL", "BE"]) == ["NL"]
    with pytest.raises(RequestError, match="'nl' is no country here; did you mean NL"):
        require_known_countries(["BE", "nl"], ["NL", "BE"])
    with pytest.raises(RequestError, match="'UK' is no country here; they are BE, NL"):
        require_known_countries(["UK"], ["NL", "BE"])


# --- the command line -------------------------------------------------------------------------


def command(lab: Lab, monkeypatch: pytest.MonkeyPatch, *arguments: str, **settings: str) -> int:
    given_settings = {
        "LANDING_BUCKET": lab.settings.landing_bucket,
        "DATA_BUCKET": lab.settings.data_bucket,
        **settings,
    }
    for name, value in given_settings.items():
        monkeypatch.setenv(f"CS_FEATURES_{name}", value)
    monkeypatch.setattr(sys, "argv", ["quote", *arguments])
    return quote_command.main()


def test_the_command_prints_a_table_with_its_sum_and_says_where_it_guesses(
    fast_lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guess on the command line is approved like a measurement, unless it says what it is."""
    fast_lab.land("NL", DAY, "a.jsonl", documents(DAY, 0, 30))
    assert command(fast_lab, monkeypatch, "--country", "NL", "--first", str(DAY)) == 0
    told = capsys.readouterr().out
    assert f"NL {DAY}" in told
    assert "all" in told
    assert "fewer than 20 calls" in told
    run_on_another_day(fast_lab, DAY)
    assert command(fast_lab, monkeypatch, "--first", str(DAY), "--last", str(NEXT)) == 0
    assert "fewer than 20 calls" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "value"),
    [("LANDING_BUCKET", "not-there-at-all"), ("DATA_BUCKET", "not-there-at-all"), ("MODEL_ID", "eu.no.such-model"),
     ("MAX_COST_USD", "much"), ("PROMPTS_DIR", "/nowhere")],
)  # fmt: skip
def test_a_setting_that_cannot_work_is_one_sentence_with_its_name(
    fast_lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    value: str,
) -> None:
    """Forty lines of traceback hide the one that says which bucket does not exist."""
    fast_lab.land("NL", DAY, "a.jsonl", documents(DAY, 0, 1))
    code = 1 if "BUCKET" in setting else 2  # AWS refuses, or somebody must mend what is set
    assert command(fast_lab, monkeypatch, "--country", "NL", "--first", str(DAY), **{setting: value}) == code
    told = capsys.readouterr()
    assert f"CS_FEATURES_{setting}" in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert told.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--country", "UK", "--first", str(DAY)),
        ("--first", str(NEXT), "--last", str(DAY)),
        ("--first", "yesterday"),
        ("--first", "2024-01-01"),
        ("--first", str(DAY), "--last", "2099-01-01"),
    ],
)
def test_a_request_that_cannot_be_meant_is_one_sentence_and_exits_with_two(
    fast_lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """$0 and success for a country that does not exist (fault 48)."""
    assert command(fast_lab, monkeypatch, *arguments) == 2
    printed = capsys.readouterr()
    assert len(printed.err.strip().splitlines()) == 1
    assert printed.out == ""


def test_the_job_refuses_what_cannot_be_meant_and_is_not_to_be_tried_again(fast_lab: Lab) -> None:
    """A traceback in the launchpad, and a job that paints itself green for no country at all (fault 48)."""
    config = {"first": str(DAY), "last": str(DAY), "countries": ["UK"]}
    result = fast_lab.definitions.resolve_job_def("quote").execute_in_process(
        run_config={"ops": {"quote_partitions": {"config": config}}}, instance=fast_lab.instance, raise_on_error=False
    )
    (event,) = result.get_step_failure_events()
    assert "'UK' is no country here" in event.step_failure_data.error.message
    assert event.step_failure_data.user_failure_data.metadata[RETRY].value is False


def test_the_module_runs_as_a_command_and_exits_with_one_on_a_missing_bucket(fast_lab: Lab) -> None:
    """A script that goes on after a failed quote starts the backfill it was to decide on."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "cs_features.cli.quote", "--country", "NL", "--first", str(DAY)],
        env={**os.environ, "CS_FEATURES_LANDING_BUCKET": "not-there-at-all"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 1
    assert "CS_FEATURES_LANDING_BUCKET" in done.stderr
    assert "Traceback" not in done.stderr


# --- the quota that an estimate keeps to ------------------------------------------------------


def limits_of(lab: Lab) -> tuple[float | None, float | None]:
    services = build_services_from(lab.settings)
    model = limit_by_account(services.model, services.data)
    return model.requests_per_minute, model.tokens_per_minute


def test_an_estimate_tells_the_figure_that_runs_keep_to_and_writes_nothing(
    lab: Lab, make_lab: Callable[..., Lab]
) -> None:
    """What is stated, else what a run has read, however long ago; else what Service Quotas says now."""
    lab = lab.with_settings(requests_per_minute=None)
    assert limits_of(lab) == (None, None)
    with quotas(HAIKU, 60):
        assert limits_of(lab) == (60, None)
        stated = make_lab(requests_per_minute=None, tokens_per_minute=5_000)
        assert limits_of(stated) == (None, 5_000)
    assert "Contents" not in lab.s3.list_objects_v2(Bucket=lab.settings.data_bucket)
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1)]))
    with quotas(HAIKU, 6_000):
        assert lab.process().success
    with counting(SERVICE_QUOTAS) as asked:
        assert limits_of(lab) == (6_000, None)
    assert asked == []


def test_an_estimate_does_without_a_quota_that_it_may_not_read(lab: Lab) -> None:
    lab = lab.with_settings(requests_per_minute=None)
    with refusing(SERVICE_QUOTAS, "AccessDeniedException"), refusing("s3.GetObject", "AccessDenied", status=403):
        assert limits_of(lab) == (None, None)
