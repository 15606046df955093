"""What the report remembers from one day to the next: the versions in use, what of them changed, and the last mail.

One small object in the data bucket; one that another version wrote is a fresh start. Pure but for reading and writing.
"""

from collections.abc import Mapping
from datetime import date, timedelta

from pydantic import BaseModel, ValidationError

from cs_features.reporting.facts import DAYS, Change
from cs_features.s3 import Bucket

STATE_KEY = "operations_report/state.json"


class Told(BaseModel):
    """A change, and the day on which a report first saw it."""

    day: date
    what: str
    before: str
    after: str


class ReportState(BaseModel):
    """The versions at the latest report, the changes of the last four weeks, and the day of the last mail."""

    versions: dict[str, str] = {}
    changes: list[Told] = []
    mailed: date | None = None


def read_state(bucket: Bucket) -> ReportState:
    """Raises AwsRefusal when the data bucket cannot be read."""
    try:
        return ReportState.model_validate_json(bucket.get(STATE_KEY) or b"{}")
    except ValidationError:
        return ReportState()


def write_state(bucket: Bucket, state: ReportState) -> None:
    bucket.put(STATE_KEY, state.model_dump_json().encode())


def note_seen_versions(before: ReportState, versions: Mapping[str, str], today: date) -> ReportState:
    """With the versions of now. The first sight of one is no change; one that cannot be read keeps what it was."""
    changed = [
        Told(day=today, what=what, before=before.versions[what], after=version)
        for what, version in versions.items()
        if before.versions.get(what, version) != version
    ]
    recent = [change for change in before.changes if (today - change.day).days < DAYS]
    return before.model_copy(update={"versions": {**before.versions, **versions}, "changes": [*recent, *changed]})


def list_changes(state: ReportState) -> list[Change]:
    """The newest first."""
    changes = [Change(day=told.day, what=told.what, before=told.before, after=told.after) for told in state.changes]
    return sorted(changes, key=lambda change: (change.day, change.what), reverse=True)


def is_mail_due(state: ReportState, today: date) -> bool:
    return state.mailed is None or today - state.mailed >= timedelta(days=1)
