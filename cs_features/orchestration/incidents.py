"""From what Dagster recorded of a run to the alerts that somebody should read: why it failed, or which checks did.

What an alert is stands in `monitoring/alerts.py`, states that last in `conditions.py`, sending in
`sensors/alerts.py`. Pure functions. A message is relayed only if its type says whose words it has: a failure that was
made in `failures.py`, an error under our root, a check of ours. Of anything else only the class is told, and of a run
without a failed step nothing that its log says: it may hold a customer's words.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from cs_features.monitoring.alerts import ALL_COUNTRIES, Alert, Severity, name_incident_cause
from cs_features.orchestration.checks import ADVICE, advice_of, find_meaning, find_rule, is_check_step
from cs_features.orchestration.failures import (
    CAUSE,
    RETRY,
    Cause,
    find_error_type,
    find_run_error,
    find_step_failure,
    list_errors,
    read_cause,
)
from cs_features.orchestration.jobs import (
    check_access,
    preview_prompt,
    quote,
    report_countries,
    report_operations,
    take_inventory,
    watch_drift,
    watch_feeds,
)
from cs_features.orchestration.sensors.landing import landing_sensor
from cs_features.orchestration.sensors.landing_decision import MAX_TRIES, RETRY_AFTER
from cs_features.orchestration.sensors.landing_memory import read_tries

PUBLISHED = "The run went through and what it made was published."
# Jobs that change no feature, whatever becomes of them.
LOOKING = frozenset(
    job.name
    for job in (
        check_access,
        preview_prompt,
        quote,
        report_countries,
        report_operations,
        take_inventory,
        watch_drift,
        watch_feeds,
    )
)
CLEARING = frozenset(["erase_customer", "apply_retention"])
NOT_PUBLISHED = "This run published nothing more; what was served before is still served."


@dataclass(frozen=True)
class Told:
    """A failure in words that may leave the region: what it is about, and what happened."""

    title: str
    reason: str


@dataclass(frozen=True)
class EndedRun:
    """A run that ended, with its failures and checks, and where it is shown."""

    run: dg.DagsterRun
    log: Sequence[dg.EventLogEntry]
    link: str
    at: datetime

    @property
    def events(self) -> list[dg.DagsterEvent]:
        return [entry.dagster_event for entry in self.log if entry.dagster_event]

    @property
    def failed_checks(self) -> list[dg.AssetCheckEvaluation]:
        checks = [entry.asset_check_evaluation for entry in self.log]
        return [check for check in checks if check is not None and not check.passed]

    @property
    def partition_key(self) -> str:
        return self.run.tags.get("dagster/partition", "")


def list_alerts(ended: EndedRun) -> list[Alert]:
    """Why a run failed, or else each check that failed in it."""
    if ended.run.is_success:
        return [alert for check in ended.failed_checks for alert in describe_check(check, ended, PUBLISHED)]
    if ended.run.tags.get("dagster/will_retry") == "true":
        return []  # the last of its retries is told
    cause = read_cause(ended.run.status, ended.events)
    blocking = [check for check in ended.failed_checks if is_blocking(check)]
    if cause is Cause.CHECK and blocking:
        return [alert for check in blocking for alert in describe_check(check, ended, NOT_PUBLISHED)]
    return [describe_failure(ended, cause)]


def is_blocking(check: dg.AssetCheckEvaluation) -> bool:
    return bool(check.blocking) and check.severity is dg.AssetCheckSeverity.ERROR


# --- a run that failed ------------------------------------------------------------------------


def describe_failure(ended: EndedRun, cause: Cause) -> Alert:
    told = tell_cause(ended.events)
    is_last = cause.may_pass and was_asked_by_landing(ended.run) and read_tries(run_key(ended.run)) >= MAX_TRIES
    return Alert(
        severity=Severity.ERROR,
        title=f"given up, {told.title}" if is_last else told.title,
        reason=told.reason,
        meaning=tell_outcome(ended.run),
        advice=advise_on_failure(ended.run, cause),
        link=ended.link,
        at=ended.at,
        country=country_of(ended.partition_key),
        partitions=(name_partition(ended.partition_key),) if ended.partition_key else (),
    )


def advise_on_failure(run: dg.DagsterRun, cause: Cause) -> str:
    """What the reader has to do, given whether somebody tries again by himself."""
    if not was_asked_by_landing(run):
        return "Mend the cause and run it again from its page; what it has paid for is kept."
    if cause is Cause.BUDGET:
        return "It is not tried again. See why it cost so much, then run it by hand or raise CS_FEATURES_MAX_COST_USD."
    if not cause.may_pass:
        return "It is not tried again, because that would change nothing: mend the cause, then run the partition."
    tries = read_tries(run_key(run))
    if tries >= MAX_TRIES:
        return (
            f"It failed {MAX_TRIES} times and is not tried again: mend the cause and run the partition, "
            "or leave it to the next daily_inventory."
        )
    minutes = int(RETRY_AFTER[tries - 1].total_seconds() // 60)
    return f"If it is an outage, nothing: landing_sensor tries again in {minutes} minutes. What was paid for is kept."


def tell_outcome(run: dg.DagsterRun) -> str:
    """What it means for the features that the run failed."""
    if run.job_name in LOOKING:
        return f"{run.job_name} changes no feature; what it looks at stays unknown until it goes through."
    if run.job_name in CLEARING:
        return f"{run.job_name} did a part of its work or none; the same again does the rest. No other feature changed."
    return NOT_PUBLISHED


def was_asked_by_landing(run: dg.DagsterRun) -> bool:
    return run.tags.get("dagster/sensor_name") == landing_sensor.name


def run_key(run: dg.DagsterRun) -> str:
    return run.tags.get("dagster/run_key", "")


def tell_cause(events: Sequence[dg.DagsterEvent]) -> Told:
    """The first step that failed, or the run where none did, in words that may be told."""
    step = find_step_failure(events)
    if step is None:
        return tell_end_of_run(events)
    name, failure = step.step_key or "a step", step.step_failure_data.user_failure_data
    if failure is not None and RETRY in failure.metadata:
        return tell_failure_of_ours(failure.description or "", failure.metadata)
    told = tell_error(step.step_failure_data.error, name)
    if is_check_step(name):
        return Told(f"{name} crashed", f"The check {name} crashed, which says nothing about the data. {told.reason}")
    return told


def tell_failure_of_ours(description: str, metadata: Mapping[str, Any]) -> Told:
    named = metadata.get(CAUSE)
    return Told(str(named.value) if named is not None else name_incident_cause(description), description)


def tell_error(error: Any, where: str) -> Told:
    """The first of our own errors in the chain, in its words; of others the class alone."""
    chain = list_errors(error)
    for each in chain:
        if find_error_type(each.cls_name):
            # Python writes the class, with its module, before the words.
            words = each.message.strip().split(f"{each.cls_name}: ", 1)[-1][:500]
            return Told(name_incident_cause(words), f"{where}: {words}")
    class_name = chain[-1].cls_name if chain else "no error"
    return Told(f"{class_name} in {where}", f"{where} ended with {class_name}: see its log.")


def tell_end_of_run(events: Sequence[dg.DagsterEvent]) -> Told:
    """A run without a failed step: what its launcher or its container wrote is not relayed."""
    error = find_run_error(events)
    if error is not None:
        return tell_error(error, "the run")
    if has_timed_out_at_start(events):
        return Told("run did not start", "The run was asked for and its process did not start in time.")
    return Told(
        "run lost",
        "The run ended without a failed step: its process was killed, ran out of memory or of time, or its host went.",
    )


def has_timed_out_at_start(events: Sequence[dg.DagsterEvent]) -> bool:
    reasons = [getattr(event.event_specific_data, "failure_reason", None) for event in events]
    return any(getattr(reason, "name", "") == "START_TIMEOUT" for reason in reasons)


# --- a check that failed ----------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a check was evaluated: the partition's key, the link to it, when, and what follows for what is served."""

    partition_key: str
    link: str
    at: datetime
    meaning: str


def describe_check(check: dg.AssetCheckEvaluation, ended: EndedRun, meaning: str) -> list[Alert]:
    return describe_evaluation(check, Place(ended.partition_key, ended.link, ended.at, meaning))


def describe_evaluation(check: dg.AssetCheckEvaluation, place: Place) -> list[Alert]:
    """One alert a country: a check over all partitions says in its metadata which of them it is about."""
    by_country = group_by_country(list_partitions_in(check) or [place.partition_key])
    return [
        Alert(
            severity=Severity(check.severity.value.replace("WARN", "WARNING")),
            title=check.check_name,
            reason=tell_check(check),
            meaning=tell_meaning(check, place.meaning),
            advice=advise_on_check(check),
            link=place.link,
            at=place.at,
            country=country,
            partitions=tuple(name_partition(key) for key in keys if key),
        )
        for country, keys in by_country.items()
    ]


def tell_check(check: dg.AssetCheckEvaluation) -> str:
    """What it says, with its numbers. Texts and tables of its metadata are not told: they may quote a customer."""
    rule = find_rule(check.check_name)
    sentence = check.description or (f"this does not hold: {rule}" if rule else "it failed.")
    values = {_NUMBER_OF_COUNTRY.sub("", name): entry.value for name, entry in check.metadata.items()}
    numbers = ", ".join(f"{name} {value:g}" for name, value in values.items() if isinstance(value, (int, float)))
    return f"{check.check_name} of {check.asset_key.to_user_string()}: {sentence}{f' ({numbers})' if numbers else ''}"


def tell_meaning(check: dg.AssetCheckEvaluation, outcome: str) -> str:
    """What the check's failure means for features, and for one that stops its run that it did."""
    meaning = find_meaning(check.check_name)
    return f"{outcome} {meaning}".strip() if is_blocking(check) or not meaning else meaning


def advise_on_check(check: dg.AssetCheckEvaluation) -> str:
    entry = check.metadata.get(ADVICE)
    return str(entry.value) if isinstance(entry, dg.TextMetadataValue) else advice_of(check.check_name)


def list_partitions_in(check: dg.AssetCheckEvaluation) -> list[str]:
    """Partition keys in the column `partition` of its tables; what looks otherwise is left out."""
    tables = [entry for entry in check.metadata.values() if isinstance(entry, dg.TableMetadataValue)]
    values = [str(record.data.get("partition", "")) for table in tables for record in table.records]
    return sorted({value for value in values if _PARTITION_KEY.fullmatch(value)})


# --- partitions -------------------------------------------------------------------------------

_PARTITION_KEY = re.compile(r"([A-Z]{2})\|\d{4}-\d{2}-\d{2}")
_LOCALE_KEY = re.compile(r"[a-z]{2}-([A-Z]{2})")
_COUNTRY_KEY = re.compile(r"([A-Z]{2})")
_NUMBER_OF_COUNTRY = re.compile(r"_[A-Z]{2}$")  # the alert says which country anyway


def country_of(partition_key: str) -> str:
    forms = (_PARTITION_KEY, _LOCALE_KEY, _COUNTRY_KEY)
    found = next((match for form in forms if (match := form.fullmatch(partition_key))), None)
    return found.group(1) if found else ALL_COUNTRIES


def name_partition(partition_key: str) -> str:
    return partition_key.replace("|", " ")


def group_by_country(partition_keys: Iterable[str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for key in partition_keys:
        groups[country_of(key)].append(key)
    return dict(groups)
