"""The heartbeat: judged by S3's clock alone, from outside, without Dagster."""

import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from cs_features.cli import heartbeat as command
from cs_features.monitoring.heartbeat import (
    BEAT_EVERY,
    DEAD_AFTER,
    HEARTBEAT_KEY,
    is_beat_due,
    judge_daemon_heartbeat,
    read_daemon_health,
    write_daemon_heartbeat,
)
from cs_features.s3 import Bucket
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.landing_sensor import tick
from cs_features_tests.support.memory_s3 import MemoryS3

NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def bucket_in_memory() -> tuple[Bucket, MemoryS3]:
    s3 = MemoryS3()
    return Bucket(s3, "cs-data", "CS_FEATURES_DATA_BUCKET"), s3


def test_a_sensor_that_has_looked_is_alive() -> None:
    bucket, _ = bucket_in_memory()
    write_daemon_heartbeat(bucket, [])
    health = read_daemon_health(bucket)
    assert health.is_alive
    assert health.sentence == "landing_sensor looked 0 minutes ago"


def test_a_daemon_that_was_killed_is_dead_by_the_clock_of_s3() -> None:
    """Fault 19: the daemon itself was dead, and everything that could have told somebody ran in it."""
    bucket, s3 = bucket_in_memory()
    write_daemon_heartbeat(bucket, [])
    s3.puts += int(DEAD_AFTER.total_seconds())
    assert read_daemon_health(bucket).is_alive
    s3.puts += 60  # that clock moves a second a PUT
    health = read_daemon_health(bucket)
    assert not health.is_alive
    assert health.sentence.startswith("landing_sensor last looked 16 minutes ago")


def test_a_pipeline_that_never_looked_is_dead() -> None:
    """A deployment whose sensor was never started has no old heartbeat, but none."""
    bucket, _ = bucket_in_memory()
    bucket.put(HEARTBEAT_KEY + ".bak", b"{}")
    health = read_daemon_health(bucket)
    assert not health.is_alive
    assert "has never looked: s3://cs-data/heartbeat/landing_sensor.json" in health.sentence


def test_a_sensor_that_looks_while_the_daemon_that_starts_runs_is_dead_is_not_alive() -> None:
    bucket, _ = bucket_in_memory()
    write_daemon_heartbeat(bucket, ["SCHEDULER", "QUEUED_RUN_COORDINATOR"])
    health = read_daemon_health(bucket)
    assert not health.is_alive
    assert "no sign of life from QUEUED_RUN_COORDINATOR, SCHEDULER" in health.sentence


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"stopped_daemons": 7}', b'{"mood": "fine"}'])
def test_a_heartbeat_of_another_version_is_one_too(body: bytes) -> None:
    """Rule 4: an upgrade of one side made a watchman cry, or sleep."""
    bucket, _ = bucket_in_memory()
    bucket.put(HEARTBEAT_KEY, body)
    assert read_daemon_health(bucket).is_alive


def test_a_clock_that_goes_backwards_is_no_death() -> None:
    assert (
        judge_daemon_heartbeat(timedelta(seconds=-5), [], DEAD_AFTER).sentence == "landing_sensor looked 0 minutes ago"
    )


def test_a_beat_is_written_every_few_minutes_and_not_at_each_tick() -> None:
    """A PUT a tick is 86,400 a month. Three beats fit into what counts as dead."""
    assert is_beat_due(None, NOON)
    assert is_beat_due(NOON - BEAT_EVERY, NOON)
    assert not is_beat_due(NOON - BEAT_EVERY + timedelta(seconds=1), NOON)
    assert DEAD_AFTER >= 3 * BEAT_EVERY


def test_a_clock_that_was_set_back_does_not_hold_the_next_beat_back() -> None:
    """Two hours back by hand were two hours without a beat, and an alarm for a pipeline that was alive."""
    assert is_beat_due(NOON + timedelta(hours=2), NOON)


@pytest.fixture
def run_command(lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    def run(*arguments: str, data_bucket: str = lab.settings.data_bucket) -> tuple[int, str]:
        monkeypatch.setenv("CS_FEATURES_DATA_BUCKET", data_bucket)
        code = command.main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def test_the_command_is_red_before_the_first_tick_green_after_it_and_red_when_it_cannot_tell(
    lab: Lab, run_command: object
) -> None:
    """One line and an exit code: what cron, systemd and CloudWatch understand."""
    assert callable(run_command)
    code, line = run_command()
    assert (code, "has never looked" in line) == (1, True)
    cursor = tick(lab).cursor
    code, line = run_command()
    assert (code, line.splitlines()[-1].startswith("landing_sensor looked ")) == (0, True)
    code, line = run_command(data_bucket="no-such-bucket")
    assert (code, line.startswith("unknown: ")) == (1, True)
    assert "CS_FEATURES_DATA_BUCKET" in line

    first = lab.s3.head_object(Bucket=lab.settings.data_bucket, Key=HEARTBEAT_KEY)
    assert tick(lab, cursor).cursor == cursor, "no second beat within the minutes"
    assert (
        lab.s3.head_object(Bucket=lab.settings.data_bucket, Key=HEARTBEAT_KEY)["LastModified"] == first["LastModified"]
    )


def test_a_sensor_that_cannot_look_does_not_beat(lab: Lab, run_command: object) -> None:
    """Alive was what it said of itself, and it had been refused the landing bucket for a week."""
    assert callable(run_command)
    tick(lab.with_settings(landing_bucket="no-such-bucket"))
    code, _ = run_command()
    assert code == 1


@pytest.mark.heavy
def test_the_command_needs_nothing_of_dagster() -> None:
    """It is to run where no Dagster is, and while Dagster's database is what is dead."""
    code = "import sys; import cs_features.cli.heartbeat; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
