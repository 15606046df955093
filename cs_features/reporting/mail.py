"""The morning's message: the first lines of the page and where it lies, as SNS takes it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cs_features.reporting.concerns import Concern
from cs_features.reporting.page import write_first_lines


@dataclass(frozen=True)
class Message:
    """Subject (less than 100 printable characters) and body of one publish."""

    subject: str
    body: str


def write_morning_message(concerns: Sequence[Concern], now: datetime, page_uri: str, ui_url: str) -> Message:
    count = f"{len(concerns)} things need you" if len(concerns) > 1 else "1 thing needs you"
    subject = f"cs-features {now:%Y-%m-%d}: {count if concerns else 'nothing needs you'}"
    lines = [
        *write_first_lines(concerns),
        "",
        f"The page: {ui_url}/assets/operations_report ({page_uri})",
        *([f"Open: {concerns[0].link}", f"Run: {concerns[0].command}"] if concerns else []),
    ]
    body = re.sub(r"[\ud800-\udfff\x00-\x08\x0b-\x1f]", "?", "\n".join(lines))
    return Message(subject, body)
