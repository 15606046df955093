"""A backfill: what it would cost, whether the caps leave room for it, how far it is, and what Dagster is asked."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from cs_features.cli import backfill as command
from cs_features.errors import DagsterRefusal, RequestError
from cs_features.extraction.spending import Limits, Totals
from cs_features.orchestration.jobs import process_interactions
from cs_features.partitions import Partition
from cs_features.planning import backfill_launch
from cs_features.planning.backfill_launch import CANCEL, FOLLOW, LAUNCH, WHERE, Backfill, DagsterUi
from cs_features.planning.backfill_progress import describe_progress, estimate_minutes_left, format_remaining_duration
from cs_features.planning.backfill_quote import (
    SAMPLED,
    BackfillQuote,
    choose_sample,
    describe_spending_excess,
    estimate_stratum_cost,
    estimate_stratum_margin,
    group_by_stratum,
    measure_landed_bytes,
    quote_backfill_partitions,
)
from cs_features.planning.history import quote_landed_documents
from cs_features.planning.quote import Queue, Quote
from cs_features_tests.support.aws_answers import HAIKU, quotas
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.lab import Lab

YEAR = [Partition("NL", date(2026, 1, 1) + timedelta(days=day)) for day in range(365)]
NL_1, NL_2, NL_3 = YEAR[:3]


def quote_of(partition: Partition, calls: int, cost_usd: float) -> Quote:
    return Quote(str(partition), calls, calls, 0, 10 * calls, 0, 0, calls, cost_usd, calls / 1200, 0, "")


def backfill_quote(*costs: float) -> BackfillQuote:
    quotes = [quote_of(each, 100, cost) for each, cost in zip(YEAR, costs, strict=False)]
    return BackfillQuote(quotes, YEAR[: len(costs)], len(costs), 0.0)


# --- what it costs ----------------------------------------------------------------------------


def test_a_few_partitions_are_quoted_in_full_and_of_many_each_kind_is_sampled() -> None:
    """A year was quoted to the call: a million objects were read, for hours, before anybody knew the price."""
    few = group_by_stratum(YEAR[:20], set())
    assert choose_sample(few, 20) == YEAR[:20]
    strata = group_by_stratum(YEAR, set(YEAR[:100]))
    sample = choose_sample(strata, 365)
    assert len(sample) == 2 * SAMPLED
    assert len({each for each in sample if each in YEAR[:100]}) == SAMPLED


def test_what_is_not_sampled_costs_what_its_bytes_cost_among_the_sampled() -> None:
    sizes = {NL_1: 1000, NL_2: 3000, NL_3: 2000}
    known = {NL_1: quote_of(NL_1, 10, 0.1), NL_2: quote_of(NL_2, 30, 0.3)}
    estimated = estimate_stratum_cost([NL_1, NL_2, NL_3], known, sizes)
    assert (estimated[NL_1], estimated[NL_2]) == (known[NL_1], known[NL_2])
    assert (estimated[NL_3].calls, round(estimated[NL_3].cost_usd, 9)) == (20, 0.2)
    assert estimated[NL_3].partition == str(NL_3)
    assert estimate_stratum_margin([NL_1, NL_2, NL_3], known, sizes) == pytest.approx(0.0)
    assert estimate_stratum_margin([NL_1, NL_2], known, sizes) == 0.0, "nothing is estimated"


def test_the_margin_grows_with_the_difference_between_days() -> None:
    sizes = dict.fromkeys(YEAR, 1000)
    known = {day: quote_of(day, 10, cost) for day, cost in zip(YEAR, (0.1, 0.2, 0.1, 0.2), strict=False)}
    assert 10 < estimate_stratum_margin(YEAR, known, sizes) < 60, "of some $55"
    one = {NL_1: known[NL_1]}
    assert estimate_stratum_margin(YEAR, one, sizes) == pytest.approx(36.4), (
        "a single day tells nothing about the others"
    )


def test_a_quote_of_days_on_s3_is_the_exact_one_where_they_are_few_and_skips_empty_days(lab: Lab) -> None:
    for number, day in enumerate((DAY, DAY - timedelta(days=3))):
        lines = jsonl(document(f"{day} {number} {each}", occurred_at=f"{day}T01:00:00Z") for each in range(3 + number))
        lab.land("NL", day, "a.jsonl", lines)
    made = lab.resources
    asked = [Partition("NL", DAY - timedelta(days=ago)) for ago in range(5)]
    quote = quote_backfill_partitions(asked, made["landing"], made["data"], made["model"])
    assert [each.date for each in quote.partitions] == [DAY, DAY - timedelta(days=3)], "newest first"
    exact = quote_landed_documents(quote.partitions, made["landing"], made["data"], made["model"])
    assert (list(quote.quotes), quote.margin_usd, quote.calls) == (exact, 0.0, 7)
    assert set(measure_landed_bytes(made["landing"].zone(), asked)) == set(quote.partitions)


def test_days_without_documents_are_refused(lab: Lab) -> None:
    """365 green runs of nothing."""
    made = lab.resources
    with pytest.raises(RequestError, match="nothing to run"):
        quote_backfill_partitions([NL_1], made["landing"], made["data"], made["model"])


def test_a_backfill_that_would_spend_what_todays_documents_need_is_refused() -> None:
    """A year costs five daily caps: at noon the cap was spent, and what landed afterwards was not extracted."""
    limits, nothing = Limits(partition=25, day=50, month=500), Totals(0, 0, 0)
    assert describe_spending_excess(backfill_quote(20.0, 20.0), limits, nothing) == ""
    told = describe_spending_excess(backfill_quote(20.0, 20.0, 20.0), limits, nothing)
    assert "CS_FEATURES_MAX_COST_USD_PER_DAY=50" in told
    assert "the newest 2 of 3 runs fit" in told
    assert "spend $15.00 today" in describe_spending_excess(backfill_quote(20.0), limits, Totals(0, 30, 30))
    assert "PER_MONTH" in describe_spending_excess(backfill_quote(20.0), limits, Totals(0, 0, 440))
    assert "CS_FEATURES_MAX_COST_USD=25" in describe_spending_excess(backfill_quote(26.0), limits, nothing)


# --- how far it is ----------------------------------------------------------------------------


class Limited:
    """As much of a model as an estimate asks for."""

    requests_per_minute = 1_200.0


def backfill(**runs: str | None) -> Backfill:
    return Backfill("abc", "REQUESTED", 0.0, 120_000, runs)


def estimate(it: Backfill, now: float = 0.0) -> tuple[float, str]:
    return estimate_minutes_left(it, Queue(), Limited(), now)  # type: ignore[arg-type]


def test_the_time_left_is_by_the_quota_until_the_pace_is_known_to_be_slower() -> None:
    """Fault 47: the quote said 1.1 minutes for what took 17."""
    assert estimate(backfill(a=None, b="QUEUED")) == (100.0, "by the quota")
    assert estimate(backfill(a="SUCCESS", b="STARTED"), now=3 * 3600) == (180.0, "by the pace so far")
    small = Backfill("abc", "REQUESTED", 0.0, 0, dict.fromkeys(map(str, range(100))))
    assert estimate(small) == (10.0, "by the starting of runs")


def test_a_line_says_what_became_of_each_partition() -> None:
    it = backfill(a="SUCCESS", b="STARTED", c=None, d="FAILURE", e="QUEUED", f="CANCELED")
    line = describe_progress(it, Queue(), Limited(), 60.0)  # type: ignore[arg-type]
    assert line.startswith("6 partitions: 1 done, 1 running, 2 waiting, 1 failed, 1 stopped; about 50 min left")
    assert [format_remaining_duration(minutes) for minutes in (0.2, 89, 90, 3000)] == [
        "1 min",
        "89 min",
        "1.5 h",
        "2.1 days",
    ]


# --- what Dagster is asked --------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema() -> Any:
    from dagster_graphql.schema import create_schema

    return create_schema().graphql_schema


@pytest.mark.parametrize("query", [WHERE, LAUNCH, CANCEL, FOLLOW])
def test_dagster_understands_each_question(query: str, schema: Any) -> None:
    """A field that a new version has renamed would be found by the engineer who needs the command."""
    from graphql import parse, validate

    assert validate(schema, parse(query)) == []


class ScriptedUi:
    """A Dagster UI that answers each field with what it was told to, and remembers what it was asked."""

    forgets_connections = False

    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.answers: dict[str, Any] = {
            "repositoriesOrError": {
                "__typename": "RepositoryConnection",
                "nodes": [
                    {"name": "other", "location": {"name": "elsewhere"}, "jobs": [{"name": "x"}]},
                    {"name": "__repository__", "location": {"name": "here"}, "jobs": [{"name": backfill_launch.JOB}]},
                ],
            },
            "launchPartitionBackfill": {"__typename": "LaunchBackfillSuccess", "backfillId": "abc"},
            "cancelPartitionBackfill": {"__typename": "CancelBackfillSuccess", "backfillId": "abc"},
        }
        self.asked: list[dict[str, Any]] = []

    def serve_backfill(self, status: str, runs: dict[str, str | None]) -> None:
        self.answers["partitionBackfillOrError"] = {
            "__typename": "PartitionBackfill",
            "status": status,
            "timestamp": 0.0,
            "isAssetBackfill": False,
            "partitionNames": list(runs),
            "tags": [{"key": backfill_launch.QUOTED_CALLS_TAG, "value": "7"}],
            "partitionStatuses": {
                "results": [{"partitionName": key, "runStatus": run} for key, run in runs.items() if run]
            },
        }

    def variables_of(self, field: str) -> dict[str, Any]:
        (found,) = [each["variables"] for each in self.asked if field in each["query"]]
        return dict(found)


@pytest.fixture
def ui(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedUi]:
    scripted = ScriptedUi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if scripted.forgets_connections and self.client_address in scripted.connections:
                self.close_connection = True
                return
            scripted.connections.add(self.client_address)
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            scripted.asked.append(asked)
            data = {field: answer for field, answer in scripted.answers.items() if field in asked["query"]}
            body = json.dumps({"data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("CS_FEATURES_UI_URL", f"http://127.0.0.1:{server.server_port}")
    try:
        yield scripted
    finally:
        server.shutdown()
        server.server_close()


def use_lab(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CS_FEATURES_LANDING_BUCKET", lab.settings.landing_bucket)
    monkeypatch.setenv("CS_FEATURES_DATA_BUCKET", lab.settings.data_bucket)
    monkeypatch.setattr(command, "LOOK_EVERY_SECONDS", 0.0)


def land_days(lab: Lab, *days: date) -> list[str]:
    for day in days:
        lab.land("NL", day, "a.jsonl", jsonl([document(f"{day}", occurred_at=f"{day}T01:00:00Z")]))
    return [Partition("NL", day).key for day in days]


BEFORE = DAY - timedelta(days=1)


def test_without_yes_a_price_is_told_and_nothing_is_launched(
    lab: Lab, ui: ScriptedUi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that was tried to see what it does ran a year."""
    use_lab(lab, monkeypatch)
    land_days(lab, DAY, BEFORE)
    assert command.main(["--first", str(BEFORE), "--last", str(DAY), "--country", "NL"]) == 0
    printed = capsys.readouterr().out
    assert "2 runs, 2 calls, $" in printed
    assert "Nothing was launched" in printed
    assert ui.asked == []


def test_where_no_quota_is_stated_the_accounts_is_estimated_with(
    lab: Lab, ui: ScriptedUi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs keep to it: a year that was estimated from the model's speed alone took six times as long."""
    use_lab(lab, monkeypatch)
    keys = land_days(lab, DAY, BEFORE)
    with quotas(HAIKU, 1):
        assert command.main(["--first", str(BEFORE), "--last", str(DAY), "--country", "NL"]) == 0
    assert "about 2 min if nothing else runs" in capsys.readouterr().out
    ui.serve_backfill("COMPLETED_SUCCESS", dict.fromkeys(keys, "SUCCESS"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    assert command.main(["--follow", "abc"]) == 0, "for which nobody needs AWS"


def test_a_backfill_is_launched_behind_everything_newest_day_first_and_followed_to_its_end(
    lab: Lab, ui: ScriptedUi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_lab(lab, monkeypatch)
    keys = land_days(lab, DAY, BEFORE)
    ui.serve_backfill("COMPLETED_SUCCESS", dict.fromkeys(keys, "SUCCESS"))
    assert command.main(["--first", str(BEFORE), "--last", str(DAY), "--country", "NL", "--yes"]) == 0
    params = ui.variables_of("launchPartitionBackfill")["params"]
    assert params["partitionNames"] == keys
    assert params["selector"] == {
        "partitionSetName": f"{process_interactions.name}_partition_set",
        "repositorySelector": {"repositoryName": "__repository__", "repositoryLocationName": "here"},
    }
    assert {"key": "dagster/priority", "value": "-5"} in params["tags"]
    printed = capsys.readouterr().out
    assert "Launched abc" in printed
    assert "2 partitions: 2 done; completed success" in printed


def test_what_a_stopped_backfill_has_not_done_is_resumed_and_nothing_else(
    lab: Lab, ui: ScriptedUi, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_lab(lab, monkeypatch)
    keys = land_days(lab, DAY, BEFORE, BEFORE - timedelta(days=1))
    ui.serve_backfill("CANCELED", dict(zip(keys, ("SUCCESS", "CANCELED", None), strict=True)))
    assert command.main(["--resume", "old", "--yes", "--no-follow"]) == 0
    assert ui.variables_of("launchPartitionBackfill")["params"]["partitionNames"] == keys[1:]


def test_a_connection_that_the_ui_ends_as_it_is_used_again_stops_nobody_who_follows(ui: ScriptedUi) -> None:
    """The first year that was run from end to end stopped being followed after two minutes: Dagster's server ends a
    connection after five silent seconds, and every five seconds somebody looked."""
    ui.forgets_connections = True
    ui.serve_backfill("REQUESTED", {NL_1.key: None})
    client = DagsterUi(os.environ["CS_FEATURES_UI_URL"])
    for _ in range(3):
        assert client.read_backfill_state("abc").list_undone_keys() == [NL_1.key]


@pytest.mark.parametrize(
    ("status", "run", "told"),
    [("REQUESTED", None, "still going on"), ("COMPLETED_SUCCESS", "SUCCESS", "nothing is left to resume")],
)
def test_what_cannot_be_resumed_is_said(
    status: str, run: str | None, told: str, ui: ScriptedUi, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two backfills of the same days at once: each partition was run twice."""
    ui.serve_backfill(status, {NL_1.key: run})
    assert command.main(["--resume", "abc"]) == 2
    assert told in capsys.readouterr().err


def test_one_that_failed_in_part_says_what_is_not_done_and_how_to_go_on(
    ui: ScriptedUi, capsys: pytest.CaptureFixture[str]
) -> None:
    ui.serve_backfill("COMPLETED_FAILED", {NL_1.key: "SUCCESS", NL_2.key: "FAILURE"})
    assert command.main(["--follow", "abc"]) == 1
    assert f"Not done: {NL_2.key}" in (err := capsys.readouterr().err)
    assert "--resume abc" in err


def test_cancelling_says_how_to_go_on(ui: ScriptedUi, capsys: pytest.CaptureFixture[str]) -> None:
    ui.serve_backfill("REQUESTED", {NL_1.key: None})
    assert command.main(["--cancel", "abc"]) == 0
    assert ui.variables_of("cancelPartitionBackfill") == {"id": "abc"}
    assert "--resume abc --yes" in capsys.readouterr().out


def test_an_unknown_backfill_is_the_users_mistake(ui: ScriptedUi, capsys: pytest.CaptureFixture[str]) -> None:
    ui.answers["partitionBackfillOrError"] = {"__typename": "BackfillNotFoundError", "message": "abc not found"}
    assert command.main(["--cancel", "abc"]) == 2
    assert "does not know it" in capsys.readouterr().err
    assert not [each for each in ui.asked if "cancelPartitionBackfill" in each["query"]]


def test_a_dagster_that_does_not_answer_is_named_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback of a socket, because `make dev` was not running."""
    with pytest.raises(DagsterRefusal, match="CS_FEATURES_UI_URL"):
        DagsterUi("http://127.0.0.1:9").read_backfill_state("abc")


def test_a_dagster_without_the_job_is_another_project(ui: ScriptedUi, monkeypatch: pytest.MonkeyPatch) -> None:
    ui.answers["repositoriesOrError"]["nodes"] = []
    with pytest.raises(DagsterRefusal, match="has no job process_interactions"):
        DagsterUi(command.settings().ui_url).launch_partition_backfill([NL_1.key], 1, "title")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--first"),
        (["--first", "yesterday"], "YYYY-MM-DD"),
        (["--first", "2026-11-02", "--last", "2026-11-01"], "is after the last"),
        (["--first", "2026-11-01", "--country", "XX"], "is no country here"),
        (["--first", "2001-01-01"], "CS_FEATURES_FIRST_DATE"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_in_a_sentence(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments) == 2
    assert told in capsys.readouterr().err
