"""What `landing_sensor` remembers from tick to tick, whose memory it is, and what it does with one it cannot use.

The cursor names its landing bucket: what was asked for of one bucket says nothing about another. One that nobody
can read, of a version to come or broken, is a fresh start with a warning and never an exception at each tick.
Not here: what follows from it (`landing_decision.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ValidationError

JOB = "process_interactions"


class Request(BaseModel):
    """What was last asked for a partition: the state of its folder, how often, and why again."""

    fingerprint: str
    tries: int = 1
    found_by: str = ""  # the reconciliation that found it differing
    verify_online: bool = False
    change: int = 0  # how often it had changed before; a state comes back when a file that was added is deleted


class Cursor(BaseModel):
    """The sensor's memory, of the window's partitions alone: some 100 bytes each."""

    bucket: str = ""
    # When this memory began after another had been lost: its requests are not those of the old one.
    began: str = ""
    asked: dict[str, Request] = {}
    changing_since: dict[str, datetime] = {}
    # Partitions that are served and whose documents are gone: the ETag of the manifest that says so.
    emptied: dict[str, str] = {}
    # When the whole window was last listed, and what was found in it that is no partition.
    surveyed_at: datetime | None = None
    strays: list[str] = []
    beat_at: datetime | None = None

    def run_key(self, partition: str, request: Request) -> str:
        """Dagster never runs one key twice, so each reason to run again is part of it.

        So is the job: a week of `watch_drift` has a key of the same form as a day.
        """
        parts = [JOB, partition, request.fingerprint]
        parts += [str(request.change)] if request.change else []
        parts += [part for part in (self.began, request.found_by) if part]
        parts += [f"try{request.tries}"] if request.tries > 1 else []
        return ":".join(parts)

    def keep_partitions(self, is_wanted: Callable[[str], bool]) -> "Cursor":
        """The same memory without the partitions that are not wanted, such as days that have left the window."""
        return self.model_copy(
            update={
                name: {key: value for key, value in getattr(self, name).items() if is_wanted(key)}
                for name in ("asked", "changing_since", "emptied")
            }
        )

    def remember_decision(self, runs: Mapping[str, Request], waiting: list[str], now: datetime) -> "Cursor":
        """With what was asked for by now, and since when the others have been waiting to be."""
        changing_since = {key: self.changing_since.get(key, now) for key in waiting}
        return self.model_copy(update={"asked": self.asked | dict(runs), "changing_since": changing_since})


@dataclass(frozen=True)
class Recalled:
    """A memory to go on with, and what to warn of where it is a fresh one in place of another."""

    cursor: Cursor
    warning: str = ""


def parse_cursor(text: str) -> Cursor | None:
    """The cursor, whatever bucket it is about; None when it cannot be read."""
    try:
        return Cursor.model_validate_json(text)
    except ValidationError:
        return None


def read_cursor(text: str | None, bucket: str, now: datetime) -> Recalled:
    """The memory about `bucket`. A cursor of before buckets were named is taken to be about it."""
    fresh = Cursor(bucket=bucket, began=f"{now:%Y%m%dT%H%M%S}")
    if not text:
        return Recalled(Cursor(bucket=bucket))
    cursor = parse_cursor(text)
    if cursor is None:
        return Recalled(fresh, "The cursor cannot be read: a fresh start, every partition of the window is run once")
    if cursor.bucket not in ("", bucket):
        return Recalled(
            fresh,
            f"The cursor is about the bucket {cursor.bucket}, CS_FEATURES_LANDING_BUCKET is {bucket}: a fresh start. "
            "What is not in the new bucket is not taken for deleted",
        )
    return Recalled(cursor.model_copy(update={"bucket": bucket}))


def read_tries(run_key: str) -> int:
    """Which try a run was, from its key."""
    last = run_key.rsplit(":", 1)[-1]
    number = last.removeprefix("try")
    return int(number) if last.startswith("try") and number.isdecimal() else 1
