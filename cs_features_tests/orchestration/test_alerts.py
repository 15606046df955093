"""Alerts: one message an incident on a real topic, none lost, none of no use, and no word of a customer in any.

The runs are real ones, the instance is Dagster's own on SQLite, and a subscriber on loopback gets what SNS sends.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import boto3
import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickData, TickStatus
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from hypothesis import given
from hypothesis import strategies as st

from cs_features.definitions import build_defs
from cs_features.errors import AwsRefusal
from cs_features.local.scripted import Script
from cs_features.monitoring.alerts import BLIND_AFTER, Alert
from cs_features.orchestration.incidents import alerts_of, blindness_of
from cs_features.orchestration.sensors import alerts as sending
from cs_features.orchestration.sensors.landing import MAX_TRIES, REFUSED
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.lab import AwsAndModel, Lab, Run

UI = "https://dagster.example.org"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:alerts"
SECRET = "Mijn man Pieter is overleden"
NEXT_DAY = DAY + timedelta(days=1)
NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
NO_LANDING = {"landing_bucket": "no-such-landing"}
NO_DATA = {"data_bucket": "no-such-data"}


def landed_on(day: date, number: int, text: str = SECRET, **changes: Any) -> dict[str, Any]:
    turns = [{"speaker": "customer", "text": f"{text} {number}"}]
    return document(number, occurred_at=f"{day}T09:30:00Z", turns=turns, **changes)


@contextmanager
def listening(answer: Callable[[bytes], tuple[int, bytes]]) -> Iterator[str]:
    """An HTTP server on loopback, as its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@dataclass
class Mailbox:
    """A topic, and what its subscriber on loopback was sent."""

    topic_arn: str
    messages: list[dict[str, str]] = field(default_factory=list)

    @property
    def subjects(self) -> list[str]:
        return [told["Subject"] for told in self.messages]


@pytest.fixture
def mailbox(stack: AwsAndModel) -> Iterator[Mailbox]:
    sns = boto3.client("sns")
    box = Mailbox(sns.create_topic(Name=f"alerts-{id(object())}")["TopicArn"])

    def receive(body: bytes) -> tuple[int, bytes]:
        box.messages.append(json.loads(body))
        return 200, b""

    with listening(receive) as url:
        sns.subscribe(TopicArn=box.topic_arn, Protocol="http", Endpoint=url)
        yield box
    sns.delete_topic(TopicArn=box.topic_arn)


class Watch:
    """A laboratory with a topic, its runs, and the daemon that evaluates the sensor and keeps its cursor."""

    def __init__(self, lab: Lab, mailbox: Mailbox) -> None:
        self.lab = lab.with_settings(alerts_topic_arn=mailbox.topic_arn, ui_url=UI)
        self.definitions = self.lab.definitions
        self.mailbox = mailbox
        self.cursor: str | None = None
        self.tick()  # the first tick only notes where the log of events ends

    def tick(self, **context: Any) -> str:
        """One tick; returns what it says of itself. Like the daemon's, one that raises leaves the cursor alone."""
        sensor = self.definitions.get_repository_def().get_sensor_def("alert_sensor")
        with dg.build_sensor_context(
            instance=self.lab.instance, cursor=self.cursor, definitions=self.definitions, resources=self.lab.resources
        ) as built:
            for name, value in context.items():
                setattr(built, name, value)
            done = sensor.evaluate_tick(built)
        self.cursor = done.cursor
        return done.skip_message or ""

    def look(self) -> list[str]:
        """Tick until there is nothing more to tell; the messages that went out meanwhile."""
        before = len(self.mailbox.messages)
        while True:
            cursor = self.cursor
            self.tick()
            if self.cursor == cursor:
                return [told["Message"] for told in self.mailbox.messages[before:]]

    def fails(self, country: str = "NL", day: date = DAY, **settings: Any) -> Run:
        run = self.lab.with_settings(**settings).process(country, day)
        assert not run.success
        return run


@pytest.fixture(scope="module")
def schedules(tmp_path_factory: pytest.TempPathFactory) -> SqliteScheduleStorage:
    return SqliteScheduleStorage.from_local(str(tmp_path_factory.mktemp("schedules")))


@pytest.fixture
def watch(
    lab: Lab, mailbox: Mailbox, schedules: SqliteScheduleStorage, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watch]:
    monkeypatch.setattr(sending, "SETTLE", timedelta(0))
    # An ephemeral instance keeps no ticks, and one that is all on disk makes a run take seconds.
    lab.instance._schedule_storage = schedules
    lab.land("NL", DAY, "a.jsonl", jsonl([landed_on(DAY, 1)]))
    lab.land("NL", NEXT_DAY, "a.jsonl", jsonl([landed_on(NEXT_DAY, 1)]))
    lab.land("BE", DAY, "a.jsonl", jsonl([landed_on(DAY, 1, country="BE")]))
    yield Watch(lab, mailbox)
    schedules.wipe()


# --- failures ---------------------------------------------------------------------------------


def test_a_failed_run_makes_one_message_with_partition_reason_time_advice_and_link(watch: Watch) -> None:
    """`process_interactions failed`, forty times in the night, and each had to be opened to know what and where."""
    run = watch.fails("NL", DAY, **NO_LANDING)
    (body,) = watch.look()
    assert watch.mailbox.subjects == ["cs-features NL 2025-03-04: run failed"]
    assert "CS_FEATURES_LANDING_BUCKET" in body.partition("\n")[0]
    assert "What to do: Run it again from its page when the cause is mended" in body
    assert "Where: NL 2025-03-04" in body
    assert f"When: {datetime.now(timezone.utc):%Y-%m-%d %H:}" in body
    assert f"Open: {UI}/runs/{run.result.run_id}" in body
    assert watch.look() == [], "an incident is told once, at whatever tick"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (NO_LANDING, "CS_FEATURES_LANDING_BUCKET"),
        (NO_DATA, "CS_FEATURES_DATA_BUCKET"),
        ({"feature_group": "no-such-group"}, "CS_FEATURES_FEATURE_GROUP"),
        ({"model_id": "eu.anthropic.claude-haiku-9"}, "CS_FEATURES_MODEL_ID"),
        ({"max_cost_usd": 0.0}, "CS_FEATURES_MAX_COST_USD"),
    ],
    ids=["landing bucket", "data bucket", "feature group", "model", "budget"],
)
def test_the_reason_is_what_went_wrong_and_not_which_step_it_went_wrong_in(
    watch: Watch, settings: dict[str, Any], reason: str
) -> None:
    """`Error occurred while executing op`: the message said so of every failure, and hid the second one in the hour."""
    watch.fails(**settings)
    (body,) = watch.look()
    assert reason in body.partition("\n")[0]


def test_the_same_reason_on_other_partitions_is_told_once(watch: Watch) -> None:
    """An outage of Bedrock fails every partition of the day: two hundred messages, and the next one went unread."""
    for country, day in (("NL", DAY), ("NL", NEXT_DAY), ("BE", DAY)):
        watch.fails(country, day, **NO_LANDING)
    assert len(watch.look()) == 1
    watch.fails("BE", DAY, **NO_LANDING)
    assert watch.look() == []


def test_another_reason_is_told_also_within_the_hour(watch: Watch) -> None:
    """While everybody knew of the outage, the budget ran out."""
    watch.fails(**NO_LANDING)
    watch.fails(**NO_DATA)
    first, second = watch.look()
    assert "CS_FEATURES_LANDING_BUCKET" in first
    assert "CS_FEATURES_DATA_BUCKET" in second


def test_two_refusals_of_different_services_are_two_incidents(watch: Watch) -> None:
    """Both wrapped by the same words of the framework, the second was taken for the first and never told."""
    watch.fails(**NO_LANDING)
    watch.fails(**NO_DATA)
    assert len(watch.look()) == 2


def test_the_same_reason_is_told_again_when_the_silence_is_over(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Still broken the next morning, and silent since: it was believed to be over."""
    watch.fails(**NO_LANDING)
    assert len(watch.look()) == 1
    monkeypatch.setattr(sending, "SILENCE", timedelta(0))
    watch.fails("BE", DAY, **NO_LANDING)
    assert watch.tick() == "1 messages sent"


@pytest.mark.parametrize("job", ["take_inventory", "redrive_rejected", "quote"])
def test_whatever_job_fails_is_told(watch: Watch, job: str) -> None:
    """The watchman himself had been failing for a month, and a redrive of a thousand rejects for a night."""
    lab = watch.lab.with_settings(**NO_LANDING)
    config = {"ops": {"quote_partitions": {"config": {"first": "2025-03-04", "last": "2025-03-04"}}}}
    failed = lab.definitions.resolve_job_def(job).execute_in_process(
        partition_key="NL|2025-03-04" if job == "redrive_rejected" else None,
        run_config=config if job == "quote" else None,
        instance=lab.instance,
        raise_on_error=False,
    )
    assert not failed.success
    (body,) = watch.look()
    assert ("Where: NL 2025-03-04" if job == "redrive_rejected" else "Where: all partitions") in body
    assert "CS_FEATURES_LANDING_BUCKET" in body


def test_assets_that_were_materialized_by_hand_or_by_a_backfill_are_watched_like_the_jobs(watch: Watch) -> None:
    """A backfill started in the evening from the asset's page runs in a job of Dagster's own; it failed unseen."""
    job = watch.lab.definitions.resolve_implicit_global_asset_job_def()
    run = watch.lab.instance.create_run_for_job(job)
    watch.lab.instance.report_run_failed(run, "it failed")
    assert len(watch.look()) == 1


def test_a_run_that_died_before_its_first_step_is_told(watch: Watch) -> None:
    """The container was killed for its memory: no step failed, and so there was nothing to quote."""
    job = watch.lab.definitions.resolve_job_def("take_inventory")
    run = watch.lab.instance.create_run_for_job(job)
    watch.lab.instance.report_run_failed(run, "The run worker was killed")
    (body,) = watch.look()
    assert "The run worker was killed" in body


def test_a_run_that_dagster_retries_is_told_when_its_last_retry_failed(watch: Watch) -> None:
    """With run retries on, each hiccup of a container was told, and mended itself before anybody had read it."""
    job = watch.lab.definitions.resolve_job_def("take_inventory")
    run = watch.lab.instance.create_run_for_job(job, tags={"dagster/will_retry": "true"})
    watch.lab.instance.report_run_failed(run)
    assert watch.look() == []


@pytest.mark.parametrize(
    ("attempt", "kind", "advice"),
    [
        ("", "run failed", "landing_sensor tries again 5 and 30 minutes after a failure"),
        (f":try{MAX_TRIES}", "run failed, given up", "run the partition when the cause is mended"),
    ],
)
def test_a_message_says_whether_the_sensor_tries_again_or_has_given_up(attempt: str, kind: str, advice: str) -> None:
    """He waited for the retry that the message promised, and the third one had been the last."""
    tags = {"dagster/sensor_name": "landing_sensor", "dagster/run_key": f"NL|2025-03-04:abc{attempt}"}
    (alert,) = alerts_of(dg.DagsterRun("process_interactions", tags=tags), [], "", NOW)
    assert alert.kind == kind
    assert advice in alert.advice


# --- checks -----------------------------------------------------------------------------------


def test_a_blocking_check_that_fails_is_told_with_its_rule_its_numbers_and_what_to_do(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`1 blocking asset check failed`: which one was known to those who opened the run."""
    monkeypatch.setattr("cs_features.orchestration.checks.conservation.count_landed", lambda _: (7, 0))
    watch.fails()
    (body,) = watch.look()
    assert watch.mailbox.subjects == ["cs-features NL 2025-03-04: blocking check failed"]
    assert body.startswith("conservation of validated_features: 7 landed = 1 validated")
    assert "missing 6" in body
    assert "What to do: Nothing was published." in body


def test_a_check_that_crashed_is_not_told_as_one_that_failed(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a day he looked for lost documents, and there was a typo in the check."""

    def crash(_: Any) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr("cs_features.orchestration.checks.conservation.count_landed", crash)
    watch.fails()
    (body,) = watch.look()
    assert watch.mailbox.subjects == ["cs-features NL 2025-03-04: check crashed"]
    assert body.startswith("validated_features_conservation: KeyError: see its log")


def test_a_warning_check_in_a_run_that_went_through_makes_one_message(watch: Watch) -> None:
    """Half of a feed was rejected for a week: the runs were green, and nobody opens a green run."""
    for day in (DAY, NEXT_DAY):
        watch.lab.land("NL", day, "b.jsonl", jsonl([b"broken", b"torn"]))
        assert watch.lab.process("NL", day).success
    told = [body for body in watch.look() if body.startswith("rejected_share of rejected_records")]
    (body,) = told
    assert f"cs-features NL {DAY}: check failed" in watch.mailbox.subjects
    assert "At most 10% of the documents are rejected. (limit 0.1, rejected 2, share 0.666667)" in body
    assert "What to do: Look at reason and detail in rejected_records." in body
    assert f"Open: {UI}/runs/" in body


def test_two_checks_that_fail_in_one_run_are_two_incidents() -> None:
    """With one message for both, the second check was told anew with each other one that failed beside it."""

    def failed(name: str) -> Any:
        check = dg.AssetCheckEvaluation(dg.AssetKey("a"), name, False, {"n": dg.IntMetadataValue(1)})
        return SimpleNamespace(dagster_event=None, asset_check_evaluation=check)

    run = dg.DagsterRun("j", status=dg.DagsterRunStatus.SUCCESS)
    told = alerts_of(run, [failed("latency_p95"), failed("of_tomorrow")], "", NOW)
    assert [alert.reason.split(" ")[0] for alert in told] == ["latency_p95", "of_tomorrow"]
    assert len({alert.incident for alert in told}) == 2
    assert all(alert.advice for alert in told), "a check that nobody has written advice for has some, too"


# --- sensors that cannot look -----------------------------------------------------------------


def a_tick(minutes_ago: float, status: TickStatus = TickStatus.SKIPPED, reason: str | None = None) -> Any:
    at = (NOW - timedelta(minutes=minutes_ago)).timestamp()
    error = SimpleNamespace(cls_name="KeyError", message="KeyError: 'secret'", cause=None)
    return SimpleNamespace(
        timestamp=at,
        is_failure=status is TickStatus.FAILURE,
        is_completed=status is not TickStatus.STARTED,
        skip_reason=reason,
        error=error if status is TickStatus.FAILURE else None,
    )


def blind(minutes_ago: float) -> Any:
    return a_tick(minutes_ago, reason=f"{REFUSED}Landing bucket x: the credentials have expired: renew them")


BEYOND = BLIND_AFTER.total_seconds() / 60 + 1


@pytest.mark.parametrize(
    ("ticks", "reason"),
    [
        ([blind(n / 2) for n in range(int(2 * BEYOND))], "Landing bucket x: the credentials have expired: renew them"),
        ([a_tick(0, TickStatus.STARTED), blind(1), blind(BEYOND + 1)], "Landing bucket x: the credentials"),
        ([a_tick(1, TickStatus.FAILURE), blind(BEYOND + 1)], "KeyError: see its log"),
    ],
    ids=["refused", "refused, and looking again", "failed"],
)
def test_a_sensor_that_could_not_look_for_a_quarter_of_an_hour_is_told(ticks: list[Any], reason: str) -> None:
    """The key had expired on Friday evening. No run failed of it, because none was asked for until Monday."""
    alert = blindness_of("landing_sensor", ticks, UI)
    assert alert is not None
    assert alert.kind == "landing_sensor cannot look"
    assert alert.reason.startswith(reason)
    assert "secret" not in alert.body


@pytest.mark.parametrize(
    "ticks",
    [
        [],
        [blind(0), blind(5)],
        [blind(0), a_tick(8, reason="12 partitions with documents, none changed"), blind(BEYOND)],
        [a_tick(0, TickStatus.SUCCESS), blind(1), blind(BEYOND + 2)],
        [a_tick(BEYOND, TickStatus.FAILURE)],
        [a_tick(n) for n in range(20)],
    ],
    ids=["none yet", "not for long", "once it could", "it can again", "one that failed", "nothing to do"],
)
def test_a_sensor_that_could_look_is_not_told(ticks: list[Any]) -> None:
    """S3 answers 503 to one listing in a thousand: an alert for each would be muted by Friday."""
    assert blindness_of("landing_sensor", ticks, UI) is None


def repository(location: str) -> RemoteRepositoryOrigin:
    origin = InProcessCodeLocationOrigin(
        loadable_target_origin=LoadableTargetOrigin(module_name="cs_features.definitions"), location_name=location
    )
    return RemoteRepositoryOrigin(origin, "__repository__")


def has_been_blind(watch: Watch, location: str, status: InstigatorStatus, reason: str) -> None:
    """What the daemon writes of a sensor: its state, and a tick every half minute for some time."""
    origin = repository(location).get_instigator_origin("landing_sensor")
    instance, selector = watch.lab.instance, origin.get_selector().get_id()
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, status))
    for ago in range(0, int(60 * BEYOND), 30):
        tick = TickData(
            origin.get_id(), "landing_sensor", InstigatorType.SENSOR, TickStatus.SKIPPED, time.time() - ago,
            skip_reason=reason, selector_id=selector,
        )  # fmt: skip
        instance.create_tick(tick)


def test_a_bucket_that_refuses_the_landing_sensor_is_told_from_its_ticks(watch: Watch) -> None:
    """The tick says why and is grey; nobody looks at grey ticks."""
    lab = watch.lab.with_settings(**NO_LANDING)
    sensor = lab.definitions.get_repository_def().get_sensor_def("landing_sensor")
    with dg.build_sensor_context(instance=lab.instance, definitions=lab.definitions, resources=lab.resources) as it:
        refused = sensor.evaluate_tick(it).skip_message
    assert refused is not None
    has_been_blind(watch, "cs_features.definitions", InstigatorStatus.RUNNING, refused)
    (body,) = watch.look()
    assert watch.mailbox.subjects == ["cs-features all partitions: landing_sensor cannot look"]
    assert "no-such-landing" in body.partition("\n")[0]
    assert f"Open: {UI}/locations/cs_features.definitions/sensors/landing_sensor" in body
    assert watch.look() == [], "told once, as long as it lasts"


def test_a_sensor_that_was_switched_off_and_one_of_another_project_are_not_told(watch: Watch) -> None:
    has_been_blind(watch, "cs_features.definitions", InstigatorStatus.STOPPED, f"{REFUSED}it")
    has_been_blind(watch, "another.project", InstigatorStatus.RUNNING, f"{REFUSED}it")
    watch.tick(_code_location_origin=repository("cs_features.definitions").code_location_origin)
    assert watch.mailbox.messages == []


@pytest.mark.parametrize(("location", "told"), [("cs_features.definitions", 1), ("another.project", 0)])
def test_of_the_runs_on_a_shared_dagster_those_of_this_project_are_told(watch: Watch, location: str, told: int) -> None:
    """The daemon's runs have a code location, those of the other tests none: these are told in production."""
    job = watch.lab.definitions.resolve_job_def("take_inventory")
    origin = RemoteJobOrigin(repository(location), "take_inventory")
    instance = watch.lab.instance
    run = instance.create_run_for_job(job, remote_job_origin=origin, job_code_origin=None)
    instance.report_run_failed(run)
    watch.tick(_code_location_origin=repository("cs_features.definitions").code_location_origin)
    assert len(watch.mailbox.messages) == told


# --- none is lost -----------------------------------------------------------------------------


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, code: str, status: int) -> Iterator[None]:
    """In place of SNS, an endpoint that takes nothing; status 0: there is none."""
    error = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>".encode()
    with monkeypatch.context() as patch, listening(lambda _: (status, error)) as url:
        patch.setenv("AWS_ENDPOINT_URL_SNS", url if status else "http://127.0.0.1:9")
        yield


REFUSALS = {
    "no permission": ("AuthorizationError", 403),
    "throttled": ("Throttling", 400),
    "out of order": ("InternalError", 500),
    "no such topic": ("NotFound", 404),
    "nothing answers": ("", 0),
}


@pytest.mark.parametrize(("code", "status"), REFUSALS.values(), ids=REFUSALS)
def test_what_sns_refuses_is_told_as_soon_as_it_takes_it(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    """The policy of the topic was changed for an hour, and the outage in that hour was told to nobody, ever."""
    watch.fails(**NO_LANDING)
    with refusing(monkeypatch, code, status):
        for _ in range(2):
            with pytest.raises(AwsRefusal, match="Alerts topic"):
                watch.tick()
    assert watch.mailbox.messages == []
    assert len(watch.look()) == 1
    assert watch.look() == []


def test_what_waits_behind_a_refused_message_waits_too(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures, warnings and repeats that came during the refusal: each incident is told, and each once."""
    watch.fails(**NO_LANDING)
    with refusing(monkeypatch, *REFUSALS["throttled"]):
        with pytest.raises(AwsRefusal):
            watch.tick()
        watch.fails("BE", DAY, **NO_LANDING)
        watch.fails(**NO_DATA)
        watch.lab.land("NL", NEXT_DAY, "b.jsonl", jsonl([b"broken", b"torn"]))
        assert watch.lab.process("NL", NEXT_DAY).success
    told = [body.partition("\n")[0] for body in watch.look()]
    for reason in ("CS_FEATURES_LANDING_BUCKET", "CS_FEATURES_DATA_BUCKET", "rejected_share"):
        assert sum(reason in line for line in told) == 1


def test_a_refused_message_is_not_taken_for_a_sent_one_in_the_hour_after_it(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first message was refused, and the silence that follows a message followed it."""
    watch.fails(**NO_LANDING)
    with refusing(monkeypatch, *REFUSALS["no permission"]):
        with pytest.raises(AwsRefusal):
            watch.tick()
    watch.fails("BE", DAY, **NO_LANDING)
    assert len(watch.look()) == 1


def test_what_was_sent_before_a_refusal_is_not_sent_again(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two was refused for an hour, and the first came a hundred and twenty times."""
    watch.fails(**NO_LANDING)
    watch.fails(**NO_DATA)
    publish = sending.publish

    def first_only(alerts: Any, alert: Alert) -> None:
        if "DATA_BUCKET" in alert.reason:
            raise AwsRefusal("Alerts topic: no")
        publish(alerts, alert)

    with monkeypatch.context() as patch:
        patch.setattr(sending, "publish", first_only)
        assert watch.tick() == "1 messages sent; the next one was refused and waits: Alerts topic: no"
        with pytest.raises(AwsRefusal):
            watch.tick()
    assert len(watch.mailbox.messages) == 1
    (second,) = watch.look()
    assert "CS_FEATURES_DATA_BUCKET" in second


class Killed(BaseException):
    """What no `except Exception` stops."""


@pytest.mark.parametrize("before_it_was_sent", [True, False], ids=["before the publish", "after the publish"])
@pytest.mark.parametrize("victim", [1, 2])
def test_a_sensor_that_is_killed_tells_everything_in_its_next_life(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, victim: int, before_it_was_sent: bool
) -> None:
    """The daemon's container was replaced in the middle of a tick: at worst a message comes twice."""
    watch.fails(**NO_LANDING)
    watch.fails(**NO_DATA)
    publish, calls = sending.publish, iter(range(1, 100))

    def killed(alerts: Any, alert: Alert) -> None:
        fatal = next(calls) == victim
        if fatal and before_it_was_sent:
            raise Killed
        publish(alerts, alert)
        if fatal:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sending, "publish", killed)
        with pytest.raises(Killed):
            watch.tick()
    watch.look()
    told = [message["Message"].partition("\n")[0] for message in watch.mailbox.messages]
    for reason in ("CS_FEATURES_LANDING_BUCKET", "CS_FEATURES_DATA_BUCKET"):
        assert 1 <= sum(reason in line for line in told) <= 2
    assert watch.look() == []


def test_more_incidents_than_a_tick_may_send_are_told_in_the_next_ones(watch: Watch) -> None:
    """SNS was slow, the tick was cut off at its sixty seconds, and sent the first messages again each time."""
    watch.fails(**NO_LANDING)
    watch.fails(**NO_DATA)
    watch.fails(landing_bucket="no.such.landing")
    assert watch.tick() == "2 messages sent; more in the next tick"
    assert watch.tick() == "1 messages sent"
    assert len(watch.mailbox.messages) == 3


def test_an_event_that_is_seconds_old_waits_for_the_next_tick(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs ended at once, the larger id was committed first, and the smaller one lay behind the cursor."""
    watch.fails(**NO_LANDING)
    with monkeypatch.context() as patch:
        patch.setattr(sending, "SETTLE", timedelta(minutes=1))
        assert watch.look() == []
    assert len(watch.look()) == 1


def test_a_run_that_is_not_understood_holds_nothing_up(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event of a form that nobody had seen raised at every tick, and whatever failed after it was told to nobody."""
    watch.fails(**NO_LANDING)
    with monkeypatch.context() as patch:
        patch.setattr(sending, "alerts_of", lambda *_: 1 / 0)
        (body,) = watch.look()
    assert body.startswith("ZeroDivisionError in alerts.py")
    watch.fails(**NO_DATA)
    assert len(watch.look()) == 1


def test_a_new_deployment_does_not_tell_of_the_runs_before_it(watch: Watch) -> None:
    """The day on which the topic was set began with every failure of the last year."""
    watch.fails(**NO_LANDING)
    watch.cursor = None
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

    assert len(watch.look()) >= 3
    told = json.dumps(watch.mailbox.messages)
    for word in ("Pieter", "overleden", "c-1", "Mijn"):
        assert not re.search(rf"\b{word}\b", told)  # as a word: a run's id may hold any letters


def test_of_a_checks_metadata_only_the_numbers_are_told() -> None:
    """The table of failure cases holds what the model wrote of a customer."""
    metadata = {"rows": dg.IntMetadataValue(3), "first": dg.TextMetadataValue(SECRET)}
    check = dg.AssetCheckEvaluation(dg.AssetKey("a"), "schema", False, metadata)
    log: Any = [SimpleNamespace(dagster_event=None, asset_check_evaluation=check)]
    (alert,) = alerts_of(dg.DagsterRun("j", status=dg.DagsterRunStatus.SUCCESS), log, "", NOW)
    assert "rows 3" in alert.reason
    assert "Pieter" not in alert.body


def test_nothing_is_told_when_all_is_well(watch: Watch) -> None:
    """A topic that says each day that all is well is muted by Friday."""
    job = watch.lab.definitions.resolve_job_def("take_inventory")
    run = watch.lab.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    watch.lab.instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name), run.run_id
    )
    assert watch.look() == []


def test_without_a_topic_no_alert_sensor_is_loaded_and_with_one_it_runs_by_itself(lab: Lab) -> None:
    """A sensor that cannot publish fails at every tick; one that waits to be switched on was taken for quiet."""

    def loaded(settings: Lab) -> dict[str, dg.SensorDefinition]:
        return {it.name: it for it in build_defs(**settings.resources).get_repository_def().sensor_defs}

    assert "alert_sensor" not in loaded(lab)
    sensor = loaded(lab.with_settings(alerts_topic_arn=TOPIC))["alert_sensor"]
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


# --- what is one incident ---------------------------------------------------------------------

REASONS = [
    "NL 2025-03-04: Bedrock failed 17 of 312 calls for good. Every answer is kept; run the partition again",
    "NL 2025-03-04: Bedrock has answered none of the last 20 calls in 30 s or more (last: 503). Every answer is kept",
    "NL 2025-03-04: the budget of $25.00 is spent",
    "NL 2025-03-04: Feature group g (ResourceNotFound at DescribeFeatureGroup): it does not exist",
    "NL 2025-03-04: nothing was published, because 3 rows of validated_features break its schema",
    f"NL 2025-03-04: 3 of 40 records were not written to g (ValidationError), the first {id_of(1)}; the others were",
]


def alert_of(kind: str, reason: str, where: str = "NL 2025-03-04") -> Alert:
    return Alert(kind, reason, "mend it", f"{UI}/runs/1", NOW, where)


@pytest.mark.parametrize("reason", REASONS)
def test_one_reason_is_one_incident_whatever_partition_numbers_and_interaction_it_names(reason: str) -> None:
    """A message a partition, because each told another number of documents or the id of another one."""
    elsewhere = reason.replace("NL 2025-03-04", "BE 2026-11-24").replace("3", "12").replace(id_of(1), id_of(2))
    elsewhere = elsewhere.replace("17 of", "9 of").replace("last: 503", "last: connection reset")
    assert alert_of("run failed", reason).incident == alert_of("run failed", elsewhere, "BE 2026-11-24").incident


def test_different_reasons_and_kinds_are_different_incidents() -> None:
    """With too much taken out of them, a spent budget and an outage were the same."""
    kinds = ("run failed", "run failed, given up", "check failed")
    assert len({alert_of(kind, reason).incident for reason in REASONS for kind in kinds}) == 18


@given(st.text(), st.text(), st.text())
def test_whatever_is_told_sns_takes_it(kind: str, where: str, reason: str) -> None:
    """SNS refuses a subject of 100 characters, of other letters than ASCII or with a line break; and half a
    surrogate pair cannot be sent at all. What is refused for its form is refused for ever, and all behind it waits.
    """
    alert = alert_of(kind, reason + "\ud83d\0", where)
    assert 0 < len(alert.subject) < 100
    assert alert.subject.isascii()
    assert alert.subject.isprintable()
    assert len(alert.body.encode()) < 256 * 1024
    assert "\0" not in alert.body
    assert len(alert.incident) <= 200
