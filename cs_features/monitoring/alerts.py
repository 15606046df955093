"""What is told to whoever listens behind the SNS topic, and when two alerts are the same incident.

A message says what happened, where and when, what to do about it, and links to where that is done. No text of
an interaction is in it. Pure: which events of Dagster become an alert stands in `orchestration/incidents.py`.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

# One message for one reason in this time: an outage fails every partition of the day.
SILENCE = timedelta(minutes=60)
# A sensor that could not look for so long is an incident of its own: no run fails of it.
BLIND_AFTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Alert:
    """Something that somebody has to act on. `reason` and `advice` are in our own words: they leave the region."""

    kind: str
    reason: str
    advice: str
    link: str
    at: datetime
    where: str = "all partitions"

    @property
    def incident(self) -> str:
        """What makes two alerts the same: the reason without its partition, ids, numbers and last straw."""
        plain = re.sub(
            r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[A-Z]{2} \d{4}-\d{2}-\d{2}\b|[\d.]+|\(last: .*?\)",
            "",
            self.reason,
        )
        return f"{self.kind}: {' '.join(plain.split())}"[:200]

    @property
    def subject(self) -> str:
        """SNS takes less than 100 characters, no line breaks and no control characters."""
        plain = re.sub(r"[^ -~]+", "?", f"cs-features {self.where}: {self.kind}")
        return plain[:99]

    @property
    def body(self) -> str:
        text = (
            f"{self.reason[:4_000]}\n\nWhat to do: {self.advice}\n\n"
            f"Where: {self.where}\nWhen: {self.at:%Y-%m-%d %H:%M} UTC\nOpen: {self.link}\n\n"
            f"The same reason is not told again for {SILENCE.seconds // 60} minutes, whatever partition it hits."
        )
        # What cannot be sent would be refused for ever, and every alert behind it would wait.
        return re.sub(r"[\ud800-\udfff\x00-\x08\x0b-\x1f]", "?", text)
