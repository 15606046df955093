"""Alerts: one message an incident on a real topic, with what is needed to act on it and no word of a customer."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import dagster as dg
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features import alerts
from cs_features.alerts import incident, message
from cs_features.definitions import build_defs
from cs_features.local.scripted import Script
from cs_features_tests.conftest import DAY, AwsAndModel, Lab, Run, document, id_of, jsonl

UI = "https://dagster.example.org"
SECRET = "Mijn man Pieter is overleden"
NEXT_DAY = DAY + timedelta(days=1)
ALERTS = ("alert_on_failure", "alert_on_warning")


def landed_on(day: date, number: int, text: str = SECRET, **changes: Any) -> dict[str, Any]:
    turns = [{"speaker": "customer", "text": f"{text} {number}"}]
    return document(number, occurred_at=f"{day}T09:30:00Z", turns=turns, **changes)


@dataclass
class Mailbox:
    """A topic, and what its subscriber on loopback was sent."""

    topic_arn: str
    messages: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def mailbox(stack: AwsAndModel) -> Iterator[Mailbox]:
    sns = boto3.client("sns")
    box = Mailbox(sns.create_topic(Name=f"alerts-{id(object())}")["TopicArn"])

    class Subscriber(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            box.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Subscriber) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sns.subscribe(TopicArn=box.topic_arn, Protocol="http", Endpoint=f"http://127.0.0.1:{server.server_port}/")
        yield box
        server.shutdown()
    sns.delete_topic(TopicArn=box.topic_arn)


class Watch:
    """A laboratory with a topic, its runs, and the daemon that evaluates the alert sensors."""

    def __init__(self, lab: Lab, mailbox: Mailbox) -> None:
        self.lab = lab.with_settings(alerts_topic_arn=mailbox.topic_arn, ui_url=UI)
        self.mailbox = mailbox
        self.cursors: dict[str, str | None] = {}
        self.look()  # the first tick only notes where the log of events ends

    def look(self) -> list[str]:
        """Tick both sensors until they have seen every run; the messages that went out meanwhile."""
        before = len(self.mailbox.messages)
        definitions = self.lab.definitions
        for name in ALERTS:
            sensor = definitions.get_repository_def().get_sensor_def(name)
            while True:
                cursor = self.cursors.get(name)
                with dg.build_sensor_context(
                    instance=self.lab.instance, cursor=cursor, definitions=definitions, resources=self.lab.resources
                ) as context:
                    context._repository_name = None  # as of a run that no daemon launched
                    tick = sensor.evaluate_tick(context)
                for reaction in tick.dagster_run_reactions:
                    assert reaction.error is None, reaction.error
                self.cursors[name] = tick.cursor
                if tick.cursor == cursor:
                    break
        return [told["Message"] for told in self.mailbox.messages[before:]]

    def fails(self, country: str = "NL", day: date = DAY, **settings: Any) -> Run:
        run = self.lab.with_settings(**settings).process(country, day)
        assert not run.success
        return run


@pytest.fixture
def watch(lab: Lab, mailbox: Mailbox) -> Watch:
    lab.land("NL", DAY, "a.jsonl", jsonl([landed_on(DAY, 1)]))
    lab.land("NL", NEXT_DAY, "a.jsonl", jsonl([landed_on(NEXT_DAY, 1)]))
    lab.land("BE", DAY, "a.jsonl", jsonl([landed_on(DAY, 1, country="BE")]))
    return Watch(lab, mailbox)


UNKNOWN_MODEL = {"model_id": "eu.anthropic.claude-haiku-9"}


# --- failures ---------------------------------------------------------------------------------


def test_a_failed_run_makes_one_message_with_partition_reason_and_link(watch: Watch) -> None:
    """`process_interactions failed`, forty times in the night, and each had to be opened to know what and where."""
    run = watch.fails("NL", DAY, **UNKNOWN_MODEL)
    (body,) = watch.look()
    (told,) = watch.mailbox.messages
    assert told["Subject"] == "cs-features NL 2025-03-04: run failed"
    assert "Partition: NL 2025-03-04" in body
    assert f"Run: {UI}/runs/{run.result.run_id}" in body
    assert "CS_FEATURES_MODEL_ID" in body
    assert watch.look() == [], "an incident is told once, at whatever tick"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"landing_bucket": "no-such-landing"}, "CS_FEATURES_LANDING_BUCKET"),
        ({"data_bucket": "no-such-data"}, "CS_FEATURES_DATA_BUCKET"),
        ({"feature_group": "no-such-group"}, "CS_FEATURES_FEATURE_GROUP"),
        ({"max_cost_usd": 0.0}, "CS_FEATURES_MAX_COST_USD"),
    ],
    ids=["landing bucket", "data bucket", "feature group", "budget"],
)
def test_the_reason_is_what_went_wrong_and_not_which_step_it_went_wrong_in(
    watch: Watch, settings: dict[str, Any], reason: str
) -> None:
    """`Error occurred while executing op`: the message said so of every failure, and hid the second one in the hour."""
    watch.fails(**settings)
    (body,) = watch.look()
    assert reason in body.partition("\n")[0]


def test_a_blocking_check_that_fails_is_named(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cs_features.checks.count_landed", lambda _: (7, 0))
    watch.fails()
    (body,) = watch.look()
    assert "conservation" in body


def test_the_same_reason_on_other_partitions_is_told_once(watch: Watch) -> None:
    """An outage of Bedrock fails every partition of the day: two hundred messages, and the next one went unread."""
    for country, day in (("NL", DAY), ("NL", NEXT_DAY), ("BE", DAY)):
        watch.fails(country, day, **UNKNOWN_MODEL)
    assert len(watch.look()) == 1
    watch.fails("BE", DAY, **UNKNOWN_MODEL)
    assert watch.look() == []


def test_another_reason_is_told_also_within_the_hour(watch: Watch) -> None:
    """While everybody knew of the outage, the budget ran out."""
    watch.fails(**UNKNOWN_MODEL)
    watch.fails(feature_group="no-such-group")
    first, second = watch.look()
    assert "CS_FEATURES_MODEL_ID" in first
    assert "CS_FEATURES_FEATURE_GROUP" in second


def test_two_refusals_of_different_services_are_two_incidents(watch: Watch) -> None:
    """Both wrapped by the same words of the framework, the second was taken for the first and never told."""
    watch.fails(landing_bucket="no-such-landing")
    watch.fails(data_bucket="no-such-data")
    assert len(watch.look()) == 2


def test_the_same_reason_is_told_again_when_the_silence_is_over(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Still broken the next morning, and silent since: it was believed to be over."""
    watch.fails(**UNKNOWN_MODEL)
    assert len(watch.look()) == 1
    monkeypatch.setattr(alerts, "SILENCE", timedelta(0))
    watch.fails("BE", DAY, **UNKNOWN_MODEL)
    assert len(watch.look()) == 1


def test_an_inventory_that_fails_is_told_too(watch: Watch) -> None:
    """The watchman himself had been failing for a month."""
    lab = watch.lab.with_settings(landing_bucket="no-such-landing")
    job = lab.definitions.resolve_job_def("take_inventory")
    assert not job.execute_in_process(instance=lab.instance, raise_on_error=False).success
    (body,) = watch.look()
    assert "Partition: all partitions" in body
    assert "CS_FEATURES_LANDING_BUCKET" in body


# --- warnings ---------------------------------------------------------------------------------


def test_a_warning_check_in_a_run_that_went_through_makes_one_message(watch: Watch) -> None:
    """Half of a feed was rejected for a week: the runs were green, and nobody opens a green run."""
    for day in (DAY, NEXT_DAY):
        watch.lab.land("NL", day, "b.jsonl", jsonl([b"broken", b"torn"]))
        assert watch.lab.process("NL", day).success
    (body,) = watch.look()
    (told,) = watch.mailbox.messages
    assert told["Subject"] == f"cs-features NL {DAY}: checks warn"
    assert "rejected_share of rejected_records" in body
    assert f"Run: {UI}/runs/" in body


def test_nothing_is_told_when_all_is_well(watch: Watch) -> None:
    """A topic that says each day that all is well is muted by Friday."""
    assert watch.lab.process().success
    assert watch.look() == []


# --- what may be said, and where --------------------------------------------------------------


def test_no_message_carries_a_word_of_a_customer(watch: Watch) -> None:
    """A message goes to mailboxes and chats outside of the region; pydantic and json quote what they cannot read."""
    lab = watch.lab
    lab.stack.answerer.script = Script(malformed_rate=1.0)
    assert lab.process("BE", DAY).success  # a warning: all are rejected
    lab.stack.answerer.script = Script()

    lab.process("NL", DAY, only=["raw_interactions"])
    torn = f'{{"interaction_id": "{id_of(1)}", "text": "{SECRET}"}}'
    lab.overwrite("raw_interactions", lambda it: it.with_columns(payload=pl.lit(torn)))
    assert not lab.process("NL", DAY, only=["llm_extractions"]).success  # an error that nobody has thought of

    lab.process("NL", NEXT_DAY)
    lab.overwrite("validated_features", lambda it: it.with_columns(sentiment=pl.lit(SECRET)), "NL", NEXT_DAY)
    assert not lab.process("NL", NEXT_DAY, only=["feature_store"]).success

    assert len(watch.look()) == 3
    told = json.dumps(watch.mailbox.messages)
    for word in ("Pieter", "overleden", "c-1", "Mijn"):
        assert not re.search(rf"\b{word}\b", told)  # as a word: a run's id may hold any letters


def test_without_a_topic_no_alert_sensor_is_loaded(lab: Lab) -> None:
    """A sensor that cannot publish fails at every tick, and its failures hide those that matter."""

    def loaded(settings: Lab) -> set[str]:
        return {sensor.name for sensor in build_defs(**settings.resources).get_repository_def().sensor_defs}

    assert loaded(lab) & set(ALERTS) == set()
    topic = "arn:aws:sns:eu-central-1:123456789012:alerts"
    assert loaded(lab.with_settings(alerts_topic_arn=topic)) - loaded(lab) == set(ALERTS)


def test_the_alert_sensors_run_without_being_switched_on(lab: Lab) -> None:
    """A deployment had been silent since its first day, and that was taken for quiet."""
    topic = "arn:aws:sns:eu-central-1:123456789012:alerts"
    for name in ALERTS:
        repository = lab.with_settings(alerts_topic_arn=topic).definitions.get_repository_def()
        sensor = repository.get_sensor_def(name)
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


# --- what is one incident ---------------------------------------------------------------------

REASONS = [
    "NL 2025-03-04: Bedrock failed 17 of 312 calls for good. Every answer is kept; run the partition again",
    "NL 2025-03-04: the budget of $25.00 is spent",
    "NL 2025-03-04: Feature group g (ResourceNotFound at DescribeFeatureGroup): it does not exist",
    "NL 2025-03-04: nothing was published, because 3 rows of validated_features break its schema",
    f"NL 2025-03-04: 3 of 40 records were not written to g (ValidationError), the first {id_of(1)}; the others were",
]


@pytest.mark.parametrize("reason", REASONS)
def test_one_reason_is_one_incident_whatever_partition_numbers_and_interaction_it_names(reason: str) -> None:
    """A message a partition, because each told another number of documents or the id of another one."""
    elsewhere = reason.replace("NL 2025-03-04", "BE 2026-11-24").replace("3", "12").replace(id_of(1), id_of(2))
    elsewhere = elsewhere.replace("17 of", "9 of")
    assert incident("run failed", reason) == incident("run failed", elsewhere)


def test_different_reasons_and_kinds_are_different_incidents() -> None:
    """With too much taken out of them, a spent budget and an outage were the same."""
    assert len({incident(kind, reason) for reason in REASONS for kind in ("run failed", "checks warn")}) == 10


@given(st.text(), st.text(), st.text())
def test_whatever_is_told_sns_takes_the_subject_and_dagster_the_tag(kind: str, partition: str, reason: str) -> None:
    """SNS refuses a subject of more than 100 characters, of other letters than ASCII, or with a line break in it."""
    subject, _ = message(kind.replace("\n", " "), partition.replace("\n", " "), reason, UI)
    assert len(subject) <= 100
    assert subject.isascii()
    assert len(incident(kind, reason)) <= 200


def test_a_tag_is_found_by_whatever_a_reason_is_made_of(lab: Lab) -> None:
    """A tag that Dagster stores in another form than it is asked for is never found again."""
    run = lab.process(only=["raw_interactions"]).result.run_id
    for reason in (*REASONS, "ünïcode 'quoted' \"twice\" % _ \\"):
        tags = {alerts.TAG: incident("run failed", reason)}
        lab.instance.add_run_tags(run, tags)
        assert [found.run_id for found in lab.instance.get_runs(filters=dg.RunsFilter(tags=tags))] == [run]
