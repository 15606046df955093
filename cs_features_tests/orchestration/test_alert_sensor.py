"""`alert_sensor` on a real topic: what a subscriber on loopback gets, and that nothing is lost, whatever breaks.

The instance is Dagster's own, the failed runs are tiny ones; the real chain fails in one test, for its words.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from cs_features.definitions import build_defs
from cs_features.errors import AwsRefusal
from cs_features.local.scripted import Script
from cs_features.monitoring.alerts import SILENCE, Alert
from cs_features.orchestration.conditions import BLIND_AFTER
from cs_features.orchestration.failures import lasting_failure, passing_failure
from cs_features.orchestration.sensors import alerts as sending
from cs_features.orchestration.sensors.alerts import alert_sensor
from cs_features.orchestration.sensors.landing import REFUSED
from cs_features.orchestration.sensors.landing_memory import Cursor
from cs_features.services import Alerts
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.failed_runs import fail_run
from cs_features_tests.support.lab import AwsAndModel, Lab
from cs_features_tests.support.memory_instance import memory_instance

UI = "https://dagster.example.org"
SECRET = "Mijn man Pieter is overleden"
NEXT_DAY = DAY + timedelta(days=1)
OUTAGE = passing_failure("NL 2025-03-04: Bedrock was down. Every answer is kept")
BRAKE = lasting_failure("NL 2025-03-04: 5 of 40 records would be withdrawn. Nothing was written")
OF_NL = {"dagster/partition": "NL|2025-03-04"}
OF_BE = {"dagster/partition": "BE|2025-03-04"}


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
        return [message["Subject"] for message in self.messages]


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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[timedelta]]:
    """What is added to the sensor's clock."""
    ahead = [timedelta(0)]
    monkeypatch.setattr(sending, "utc_now", lambda: datetime.now(timezone.utc) + sum(ahead, timedelta(0)))
    monkeypatch.setattr(sending, "SETTLE", timedelta(0))
    return ahead


class Watch:
    """An instance, a topic, and the daemon that evaluates the sensor and keeps its cursor."""

    def __init__(self, instance: dg.DagsterInstance, mailbox: Mailbox) -> None:
        self.instance = instance
        self.mailbox = mailbox
        self.cursor: str | None = None
        self.tick()  # the first tick only notes where the log of events ends

    def tick(self, **context: Any) -> str:
        """One tick; returns what it says of itself. Like the daemon's, one that raises leaves the cursor alone."""
        alerts = Alerts(topic_arn=self.mailbox.topic_arn, ui_url=UI)
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources={"alerts": alerts}) as built:
            for name, value in context.items():
                setattr(built, name, value)
            done = alert_sensor.evaluate_tick(built)
        self.cursor = done.cursor
        return done.skip_message or ""

    def tick_until_rest(self, **context: Any) -> list[str]:
        """Tick until there is nothing more to tell; the messages that went out meanwhile."""
        before = len(self.mailbox.messages)
        while "more in the next tick" in self.tick(**context):
            pass
        return [message["Message"] for message in self.mailbox.messages[before:]]

    def fail(self, error: BaseException = OUTAGE, tags: dict[str, str] = OF_NL) -> str:
        return fail_run(self.instance, error, tags).run_id


@pytest.fixture(scope="module")
def schedules(tmp_path_factory: pytest.TempPathFactory) -> SqliteScheduleStorage:
    return SqliteScheduleStorage.from_local(str(tmp_path_factory.mktemp("schedules")))


@pytest.fixture
def watch(mailbox: Mailbox, schedules: SqliteScheduleStorage, clock: list[timedelta]) -> Iterator[Watch]:
    with memory_instance() as instance:
        # An ephemeral instance keeps no ticks, and one that is all on disk makes a run take seconds.
        instance._schedule_storage = schedules
        yield Watch(instance, mailbox)
        schedules.wipe()


# --- what is told, and when again -------------------------------------------------------------


def test_a_failed_run_makes_one_message_and_no_second_one(watch: Watch) -> None:
    """`process_interactions failed`, forty times in the night, and each had to be opened to know what and where."""
    run_id = watch.fail()
    (body,) = watch.tick_until_rest()
    assert watch.mailbox.subjects == ["cs-features ERROR: Bedrock was down, NL"]
    assert body.startswith("NL 2025-03-04: Bedrock was down.")
    assert "Partitions: NL 2025-03-04\n" in body
    assert f"Open: {UI}/runs/{run_id}" in body
    assert watch.tick_until_rest() == [], "an incident is told once, at whatever tick"


def test_other_partitions_of_the_country_are_summed_up_when_the_silence_ends(
    watch: Watch, clock: list[timedelta]
) -> None:
    """Fault 40: an outage fails every partition of the day: one message, and nothing was ever said of the others."""
    for day in range(1, 6):
        watch.fail(OUTAGE, {"dagster/partition": f"NL|2025-03-{day:02}"})
    assert len(watch.tick_until_rest()) == 1
    clock.append(SILENCE)
    (summary,) = watch.tick_until_rest()
    assert summary.startswith("4 more partitions of NL for the same reason since")
    assert "Partitions: NL 2025-03-02, NL 2025-03-03, NL 2025-03-04, NL 2025-03-05\n" in summary
    assert watch.tick_until_rest() == []


def test_another_country_and_another_cause_are_told_within_the_hour(watch: Watch) -> None:
    """Fault 40: while everybody knew of the Netherlands, all of Belgium was rejected; and the budget ran out."""
    watch.fail(OUTAGE, OF_NL)
    watch.fail(OUTAGE, OF_BE)
    watch.fail(BRAKE, OF_NL)
    watch.tick_until_rest()
    assert sorted(watch.mailbox.subjects) == [
        "cs-features ERROR: 5 of 40 records would be withdrawn, NL",
        "cs-features ERROR: Bedrock was down, BE, NL",
    ]


def test_the_same_is_told_again_when_the_silence_is_over(watch: Watch, clock: list[timedelta]) -> None:
    """Still broken the next morning, and silent since: it was believed to be over."""
    watch.fail()
    assert len(watch.tick_until_rest()) == 1
    clock.append(SILENCE)
    watch.fail()
    assert len(watch.tick_until_rest()) == 1


@pytest.mark.parametrize("job", ["take_inventory", "redrive_rejected", "quote", "__ASSET_JOB"])
def test_whatever_job_fails_is_told(watch: Watch, job: str) -> None:
    """The watchman himself had been failing for a month, a redrive of a thousand rejects for a night; a backfill from
    the asset's page runs in a job of Dagster's own, and it failed unseen."""
    fail_run(watch.instance, OUTAGE, {}, job_name=job)
    assert len(watch.tick_until_rest()) == 1
    assert watch.mailbox.subjects == ["cs-features ERROR: Bedrock was down, all countries"]


def test_nothing_is_told_when_all_is_well(watch: Watch) -> None:
    """A topic that says each day that all is well is muted by Friday."""

    @dg.job(executor_def=dg.in_process_executor)
    def fine() -> None:
        pass

    assert fine.execute_in_process(instance=watch.instance).success
    assert watch.tick_until_rest() == []


# --- states that last -------------------------------------------------------------------------


def repository(location: str) -> RemoteRepositoryOrigin:
    origin = InProcessCodeLocationOrigin(
        loadable_target_origin=LoadableTargetOrigin(module_name="cs_features.definitions"), location_name=location
    )
    return RemoteRepositoryOrigin(origin, "__repository__")


HERE, ELSEWHERE = "cs_features.definitions", "another.project"
OF_HERE = {"_code_location_origin": repository(HERE).code_location_origin}


def add_sensor(watch: Watch, location: str, status: InstigatorStatus, cursor: str | None = None) -> InstigatorState:
    """What the daemon writes of the landing sensor: whether it is on, and its cursor."""
    data = SensorInstigatorData(cursor=cursor)
    state = InstigatorState(
        repository(location).get_instigator_origin("landing_sensor"), InstigatorType.SENSOR, status, data
    )
    watch.instance.add_instigator_state(state)
    return state


def add_blind_ticks(watch: Watch, state: InstigatorState, reason: str) -> None:
    """A tick every half minute for longer than may be."""
    now = datetime.now(timezone.utc).timestamp()
    for ago in range(0, int(BLIND_AFTER.total_seconds()) + 60, 30):
        tick = TickData(
            state.instigator_origin_id, "landing_sensor", InstigatorType.SENSOR, TickStatus.SKIPPED, now - ago,
            skip_reason=reason, selector_id=state.selector_id,
        )  # fmt: skip
        watch.instance.create_tick(tick)


def test_a_landing_sensor_that_cannot_look_is_told_once_and_again_when_it_lasts(
    watch: Watch, clock: list[timedelta]
) -> None:
    """The tick says why and is grey; nobody looks at grey ticks."""
    state = add_sensor(watch, HERE, InstigatorStatus.RUNNING)
    add_blind_ticks(watch, state, f"{REFUSED}Bucket no-such-landing (NoSuchBucket): set it")
    (body,) = watch.tick_until_rest()
    assert watch.mailbox.subjects == ["cs-features ERROR: landing_sensor cannot look, all countries"]
    assert "no-such-landing" in body.partition("\n")[0]
    assert f"Open: {UI}/locations/cs_features.definitions/sensors/landing_sensor" in body
    assert watch.tick_until_rest() == []


def test_a_sensor_that_was_switched_off_and_one_of_another_project_are_not_told(watch: Watch) -> None:
    for location, status in ((HERE, InstigatorStatus.STOPPED), (ELSEWHERE, InstigatorStatus.RUNNING)):
        add_blind_ticks(watch, add_sensor(watch, location, status), f"{REFUSED}it")
    assert watch.tick_until_rest(**OF_HERE) == []


def test_folders_that_were_emptied_are_told_from_the_landing_sensors_cursor(watch: Watch) -> None:
    """Fault 3: a finding, not an order; and a finding that stands in a cursor alone is read by nobody."""
    emptied = Cursor(bucket="cs-landing", emptied={"NL|2025-03-04": "etag"})
    add_sensor(watch, HERE, InstigatorStatus.RUNNING, emptied.model_dump_json())
    (body,) = watch.tick_until_rest()
    assert watch.mailbox.subjects == ["cs-features ERROR: documents gone, NL"]
    assert "Partitions: NL 2025-03-04\n" in body


def test_a_landing_cursor_that_cannot_be_read_stops_no_alert(watch: Watch) -> None:
    add_sensor(watch, HERE, InstigatorStatus.RUNNING, "{")
    watch.fail()
    assert len(watch.tick_until_rest()) == 1


def test_runs_that_wait_for_hours_are_told_from_the_queue(watch: Watch, clock: list[timedelta]) -> None:
    """Fault 19: two dead runs held both places, and every other run waited without a word."""

    @dg.job
    def waiting() -> None:
        pass

    def queue_run(tags: dict[str, str]) -> None:
        origin = RemoteJobOrigin(repository(HERE), "waiting")
        watch.instance.create_run_for_job(
            waiting, tags=tags, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=origin, job_code_origin=None
        )

    queue_run({"dagster/backfill": "abc"})
    clock.append(timedelta(hours=2))
    assert watch.tick_until_rest() == [], "a year's backfill waits for a day, and was to"
    queue_run({})
    clock.append(timedelta(hours=2))
    (body,) = watch.tick_until_rest()
    assert body.startswith("1 run in the queue since")


@pytest.mark.parametrize(("location", "told"), [(HERE, 1), (ELSEWHERE, 0)])
def test_of_the_runs_on_a_shared_dagster_those_of_this_project_are_told(watch: Watch, location: str, told: int) -> None:
    """The daemon's runs have a code location, those of the other tests none: these are told in production."""

    @dg.job
    def nothing() -> None:
        pass

    origin = RemoteJobOrigin(repository(location), "nothing")
    run = watch.instance.create_run_for_job(nothing, remote_job_origin=origin, job_code_origin=None)
    watch.instance.report_run_failed(run)
    assert len(watch.tick_until_rest(**OF_HERE)) == told


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
    watch.fail()
    with refusing(monkeypatch, code, status):
        for _ in range(2):
            with pytest.raises(AwsRefusal, match="Alerts topic"):
                watch.tick()
        watch.fail(BRAKE, OF_BE)
    assert watch.mailbox.messages == []
    assert len(watch.tick_until_rest()) == 2
    assert watch.tick_until_rest() == []


class Killed(BaseException):
    """What no `except Exception` stops."""


@pytest.mark.parametrize("is_before_sending", [True, False], ids=["before the publish", "after the publish"])
@pytest.mark.parametrize("victim", [1, 2])
def test_a_sensor_that_is_killed_tells_everything_in_its_next_life(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, victim: int, is_before_sending: bool
) -> None:
    """The daemon's container was replaced in the middle of a tick: at worst a message comes twice."""
    watch.fail()
    watch.fail(BRAKE)
    publish, calls = sending.publish_alert, iter(range(1, 100))

    def publish_and_die(alerts: Any, alert: Alert) -> None:
        is_fatal = next(calls) == victim
        if is_fatal and is_before_sending:
            raise Killed
        publish(alerts, alert)
        if is_fatal:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sending, "publish_alert", publish_and_die)
        with pytest.raises(Killed):
            watch.tick()
    watch.tick_until_rest()
    for title in ("Bedrock was down", "would be withdrawn"):
        assert 1 <= sum(title in subject for subject in watch.mailbox.subjects) <= 2
    assert watch.tick_until_rest() == []


def test_an_event_that_is_seconds_old_waits_for_the_next_tick(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs ended at once, the larger id was committed first, and the smaller one lay behind the cursor."""
    watch.fail()
    with monkeypatch.context() as patch:
        patch.setattr(sending, "SETTLE", timedelta(minutes=1))
        assert watch.tick_until_rest() == []
    assert len(watch.tick_until_rest()) == 1


def test_a_run_that_is_not_understood_holds_nothing_up(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event of a form that nobody had seen raised at every tick, and whatever failed after it was told to nobody."""
    watch.fail()
    with monkeypatch.context() as patch:
        patch.setattr(sending, "list_alerts", lambda _: 1 / 0)
        (body,) = watch.tick_until_rest()
    assert body.startswith("a run was not understood: ZeroDivisionError")
    watch.fail(BRAKE)
    assert len(watch.tick_until_rest()) == 1


def test_a_new_deployment_does_not_tell_of_the_runs_before_it(watch: Watch) -> None:
    """The day on which the topic was set began with every failure of the last year."""
    watch.fail()
    watch.cursor = None
    assert watch.tick_until_rest() == []


def test_a_cursor_of_the_version_before_goes_on_where_it_was(watch: Watch) -> None:
    """Rule 4: an upgrade during an outage, and what had failed an hour before was told to nobody."""
    memory = json.loads(watch.cursor or "")
    watch.fail()
    watch.cursor = json.dumps({"seen": memory["seen"], "told": {"run failed: x": "2026-11-24T12:00:00Z"}, "mood": 1})
    assert len(watch.tick_until_rest()) == 1


@pytest.mark.parametrize("cursor", ["{", "[]", '{"seen": 7}'])
def test_a_cursor_that_cannot_be_read_is_told_and_stops_nothing(watch: Watch, cursor: str) -> None:
    """It raised at every tick, and of all alerts this was the one that could not be sent."""
    watch.cursor = cursor
    (body,) = watch.tick_until_rest()
    assert "cannot be read" in body
    watch.fail()
    assert len(watch.tick_until_rest()) == 1


# --- the product's own words ------------------------------------------------------------------


def said_on(day: Any, number: int) -> dict[str, Any]:
    turns = [{"speaker": "customer", "text": f"{SECRET} {number}"}]
    return document(number, occurred_at=f"{day}T09:30:00Z", turns=turns)


def test_no_message_of_the_real_chain_carries_a_word_of_a_customer(
    lab: Lab, mailbox: Mailbox, schedules: SqliteScheduleStorage, clock: Any
) -> None:
    """A message goes to mailboxes and chats outside of the region; pydantic and json quote what they cannot read."""
    for day in (DAY, NEXT_DAY):
        lab.land("NL", day, "a.jsonl", jsonl([said_on(day, 1)]))
    lab.instance._schedule_storage = schedules
    watch = Watch(lab.instance, mailbox)
    lab.process("NL", DAY, only=["raw_interactions"])
    torn = f'{{"interaction_id": "{id_of(1)}", "text": "{SECRET}"}}'
    lab.overwrite("raw_interactions", lambda it: it.with_columns(payload=pl.lit(torn)))
    assert not lab.process("NL", DAY, only=["llm_extractions"]).success  # an error that nobody has thought of

    lab.stack.answerer.script = Script()
    lab.process("NL", NEXT_DAY)
    lab.overwrite("validated_features", lambda it: it.with_columns(sentiment=pl.lit(SECRET)), "NL", NEXT_DAY)
    assert not lab.process("NL", NEXT_DAY, only=["feature_store"]).success

    assert len(watch.tick_until_rest()) >= 2
    told = json.dumps(mailbox.messages)
    for word in ("Pieter", "overleden", "c-1", "Mijn"):
        assert not re.search(rf"\b{word}\b", told)  # as a word: a run's id may hold any letters


def test_without_a_topic_no_alert_sensor_is_loaded_and_with_one_it_runs_by_itself(lab: Lab) -> None:
    """A sensor that cannot publish fails at every tick; one that waits to be switched on was taken for quiet."""

    def list_loaded(of: Lab) -> dict[str, dg.SensorDefinition]:
        return {it.name: it for it in build_defs(**of.resources).get_repository_def().sensor_defs}

    assert "alert_sensor" not in list_loaded(lab)
    topic = "arn:aws:sns:eu-central-1:123456789012:alerts"
    sensor = list_loaded(lab.with_settings(alerts_topic_arn=topic))["alert_sensor"]
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
