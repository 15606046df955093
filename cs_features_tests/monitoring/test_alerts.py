"""What is one incident, and that SNS takes whatever is told."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.monitoring.alerts import Alert, Severity, name_incident_cause, summarize_held_incidents
from cs_features_tests.support.documents import id_of

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
SENTENCES = [
    "NL 2025-03-04: Bedrock failed 17 of 312 calls for good. Every answer is kept; run the partition again",
    "NL 2025-03-04: Bedrock has answered none of the last 20 calls in 30 s or more (last: 503). Every answer is kept",
    "NL 2025-03-04: the budget of $25.00 is spent",
    "NL 2025-03-04: Feature group g (ResourceNotFound at DescribeFeatureGroup): it does not exist",
    "NL 2025-03-04: nothing was published, because 3 rows of validated_features break its schema",
    f"NL 2025-03-04: 3 of 40 records were not written to g (ValidationError), the first {id_of(1)}; the others were",
    "Bucket cs-landing (NoSuchBucket at ListObjectsV2): the bucket does not exist",
    "Bucket cs-data (NoSuchBucket at GetObject): the bucket does not exist",
]


def alert_of(title: str, country: str = "NL", **changes: Any) -> Alert:
    made = {"severity": Severity.ERROR, "reason": "r", "meaning": "m", "advice": "a", "link": "l", "at": NOW}
    return Alert(**{**made, "title": title, "country": country, **changes})


@pytest.mark.parametrize("sentence", SENTENCES)
def test_one_cause_is_one_incident_whatever_partition_numbers_and_interaction_it_names(sentence: str) -> None:
    """A message a partition, because each told another number of documents or the id of another one."""
    elsewhere = sentence.replace("NL 2025-03-04", "NL 2026-11-24").replace("3", "12").replace(id_of(1), id_of(2))
    elsewhere = elsewhere.replace("17 of", "9 of").replace("last: 503", "last: connection reset")
    assert alert_of(name_incident_cause(sentence)).incident == alert_of(name_incident_cause(elsewhere)).incident


def test_different_causes_are_different_incidents() -> None:
    """With too much taken out of them, a spent budget and an outage were the same."""
    assert len({alert_of(name_incident_cause(sentence)).incident for sentence in SENTENCES}) == len(SENTENCES)


def test_the_set_of_languages_and_the_id_of_a_task_make_no_other_incident() -> None:
    """Fault 40: twelve mails on the first day for one reason, a mail for each set of languages. Fault 38: two tasks of
    one reason were two incidents."""
    one = "unknown with this prompt and model: nl"
    many = "unknown with this prompt and model: nl, fr, de and tr"
    assert alert_of(one).incident == alert_of(many).incident
    task = "Task arn:aws:ecs:eu-central-1:123456789012:task/cs/{} stopped"
    first, second = (task.format(each * 4) for each in ("a1b2c3d4", "0f9e8d7c"))
    assert alert_of(first).incident == alert_of(second).incident


def test_a_country_with_everything_rejected_is_its_own_incident_beside_another_country() -> None:
    """Fault 40: NL had 10 of 15 rejected, and an hour later FR 200 of 200: told to nobody, because the country was
    not part of the incident."""
    assert alert_of("rejected_share", "NL").incident != alert_of("rejected_share", "FR").incident


def test_a_warning_and_an_error_of_one_check_are_two_incidents() -> None:
    """Fault 41: "quality unknown" was told, and "known to be below its floor" was silenced by it."""
    warning = alert_of("quality_floor", severity=Severity.WARNING)
    assert warning.incident != alert_of("quality_floor").incident


def test_the_subject_names_severity_check_and_country() -> None:
    """Fault 41: the subject was always "check failed"."""
    assert alert_of("rejected_share", "FR").subject == "cs-features ERROR: rejected_share, FR"
    warning = alert_of("latency_p95", severity=Severity.WARNING)
    assert warning.subject == "cs-features WARNING: latency_p95, NL"


def test_the_body_names_partitions_meaning_advice_time_and_link() -> None:
    """Fault 41: `reconciled` named no partition, and what it meant for what is served was anybody's guess."""
    body = alert_of("x", partitions=("NL 2026-11-23", "NL 2026-11-24"), reason="It broke.").body
    assert body.startswith("It broke.")
    for line in (
        "What it means: m",
        "What to do: a",
        "Partitions: NL 2026-11-23, NL 2026-11-24",
        "When: 2026-11-24 12:00 UTC",
        "Open: l",
    ):
        assert line in body.split("\n")


def test_of_many_partitions_some_are_named_and_the_others_counted() -> None:
    partitions = tuple(f"NL 2026-10-{day:02}" for day in range(1, 32))
    assert "NL 2026-10-20 and 11 more" in alert_of("x", partitions=partitions).body


def test_what_was_held_back_is_summed_up_with_its_number_country_and_reason() -> None:
    """Fault 40: five partitions failed, one mail came, and nothing was ever said of the other four."""
    held = [f"FR 2026-11-{day:02}" for day in range(1, 13)]
    summary = summarize_held_incidents(alert_of("x", "FR", reason="It broke."), held, NOW - timedelta(hours=1))
    assert summary.reason.startswith("12 more partitions of FR for the same reason since 11:00 UTC.")
    assert "It broke." in summary.reason
    assert summary.partitions == tuple(held)
    assert summary.incident == alert_of("x", "FR").incident


@given(st.text(), st.text(), st.text(), st.lists(st.text()))
def test_whatever_is_told_sns_takes_it(title: str, country: str, reason: str, partitions: list[str]) -> None:
    """SNS refuses a subject of 100 characters, of other letters than ASCII or with a line break; and half a
    surrogate pair cannot be sent at all. What is refused for its form is refused for ever, and all behind it waits.
    """
    alert = alert_of(title, country, reason=reason + "\ud83d\0", partitions=tuple(partitions))
    assert 0 < len(alert.subject) < 100
    assert alert.subject.isascii()
    assert alert.subject.isprintable()
    assert len(alert.body.encode()) < 256 * 1024
    assert "\0" not in alert.body
    assert len(alert.incident) <= 200
    assert 0 < len(name_incident_cause(reason)) <= 60
