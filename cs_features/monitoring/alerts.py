"""What is told to whoever listens behind the SNS topic, and when two alerts are the same incident.

One incident is one check or one cause in one country: how many partitions it hits, which languages, numbers and ids
its sentence names make no difference. No text of an interaction is in a message. Pure: which events of Dagster
become an alert stands in `orchestration/incidents.py`, what was delivered in `outbox.py`.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum

from pydantic import BaseModel, ConfigDict

# One message for one incident in this time: an outage fails every partition of the day.
SILENCE = timedelta(minutes=60)
# What is told of a state that lasts, such as an emptied folder, is told again once a day.
SILENCE_OF_STATES = timedelta(days=1)
ALL_COUNTRIES = "all countries"
SHOWN = 20  # partitions in one message
TITLE_LENGTH = 60
DIGEST_LINE, DIGEST_ADVICE = 150, 2_000  # characters; twenty-five incidents fit into one message

_PARTITION = r"\b[A-Z]{2} \d{4}-\d{2}-\d{2}\b"
_LAST_STRAW = r"\(last: .*?\)"
_IDENTIFIER = r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{12,}\b"


class Severity(str, Enum):
    """Whether something failed, or went through and should be looked at."""

    ERROR = "ERROR"
    WARNING = "WARNING"


class Alert(BaseModel):
    """Something that somebody has to act on, in our own words: they leave the region.

    `title` is the check or the cause. `meaning` says what follows for what is served. `partitions` are written as
    "NL 2026-11-24".
    """

    model_config = ConfigDict(frozen=True)

    severity: Severity
    title: str
    reason: str
    meaning: str
    advice: str
    link: str
    at: datetime
    country: str = ALL_COUNTRIES
    partitions: tuple[str, ...] = ()
    silence: timedelta = SILENCE

    @property
    def incident(self) -> str:
        """What two alerts have in common that are told once."""
        return f"{self.severity.value} {self.cause} {self.country}"[:200]

    @property
    def cause(self) -> str:
        return identify_incident_cause(self.title)

    @property
    def subject(self) -> str:
        """SNS takes less than 100 characters, no line breaks and no control characters."""
        text = f"cs-features {self.severity.value}: {self.title}, {self.country}"
        return re.sub(r"[^ -~]+", "?", text)[:99]

    @property
    def body(self) -> str:
        lines = [
            f"{self.reason[:4_000]}\n",
            f"What it means: {self.meaning}",
            f"What to do: {self.advice}\n",
            *([f"Partitions: {name_partitions(self.partitions)}"] if self.partitions else []),
            f"When: {self.at:%Y-%m-%d %H:%M} UTC",
            f"Open: {self.link}\n",
            f"The same is not told again for {describe_silence_duration(self.silence)}; if it goes on, a digest "
            "says so then.",
        ]
        # What cannot be sent would be refused for ever, and every alert behind it would wait.
        return re.sub(r"[\ud800-\udfff\x00-\x08\x0b-\x1f]", "?", "\n".join(lines))


def name_incident_cause(sentence: str) -> str:
    """What a failure's sentence is about: its first clause, without the partition before it."""
    without_partition = re.sub(rf"^{_PARTITION}: ", "", sentence.strip())
    first_clause = re.split(r"[.:;,]\s|\n", without_partition, maxsplit=1)[0]
    return first_clause.rstrip(".:;,")[:TITLE_LENGTH] or "failed without a message"


def identify_incident_cause(title: str) -> str:
    """The words of a title that are the same each time.

    Partitions, ids, numbers and the last straw in brackets differ; so do languages and countries, two letters each,
    and how many of them there are.
    """
    plain = re.sub(f"{_IDENTIFIER}|{_PARTITION}|{_LAST_STRAW}", " ", title)
    words = re.findall(r"[^\W\d_]{3,}", plain)
    return " ".join(word for word in words if word != "and")


def name_partitions(partitions: Sequence[str]) -> str:
    shown = ", ".join(partitions[:SHOWN])
    left = len(partitions) - SHOWN
    return f"{shown} and {left} more" if left > 0 else shown


def summarize_held_incidents(latest: Alert, partitions: Iterable[str], since: datetime) -> Alert:
    """One alert for the partitions that an incident has hit while it was not to be told."""
    held = tuple(sorted(partitions))
    many = f"{len(held)} more partitions" if len(held) > 1 else "1 more partition"
    reason = f"{many} of {latest.country} for the same reason since {since:%H:%M} UTC. The latest: {latest.reason}"
    return latest.model_copy(update={"reason": reason, "partitions": held})


def merge_country_incidents(alerts: Sequence[Alert]) -> Alert:
    """One message for a cause that hits several countries at once: the first one's words, and where else."""
    if len(alerts) == 1:
        return alerts[0]
    first = alerts[0]
    countries = sorted({alert.country for alert in alerts})
    elsewhere = ", ".join(country for country in countries if country != first.country)
    return first.model_copy(
        update={
            "country": ", ".join(countries),
            "reason": f"{first.reason}\nThe same in {elsewhere}.",
            "partitions": tuple(sorted({partition for alert in alerts for partition in alert.partitions})),
        }
    )


def write_alert_digest(parts: Sequence[Alert]) -> Alert:
    """One message for several incidents that go on: each with its words, its partitions and what to do."""
    if len(parts) == 1:
        return parts[0]
    ordered = sorted(parts, key=lambda part: (part.severity is not Severity.ERROR, part.title, part.country))
    titles = list(dict.fromkeys(part.title for part in ordered))
    lines = [f"- {part.title}, {part.country}: {part.reason[:DIGEST_LINE]}" for part in ordered]
    advice = dict.fromkeys(f"{part.title}: {part.advice}" for part in ordered)
    return ordered[0].model_copy(
        update={
            "title": f"{len(parts)} still going on ({', '.join(titles)})"[:TITLE_LENGTH],
            "country": ", ".join(sorted({part.country for part in parts})),
            "reason": "These go on:\n" + "\n".join(lines),
            "advice": " ".join(advice)[:DIGEST_ADVICE],
            "partitions": tuple(sorted({partition for part in parts for partition in part.partitions})),
        }
    )


def describe_silence_duration(duration: timedelta) -> str:
    minutes = int(duration.total_seconds() // 60)
    return f"{minutes} minutes" if minutes <= 120 else f"{minutes // 60} hours"
