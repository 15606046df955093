"""What libraries log of requests and answers: at DEBUG, every text that is asked and every record that is written.

Whatever level anybody sets, and whoever listens: their debug lines say that they were there, and nothing else. Nothing
of our own is logged here.
"""

import logging
from typing import Any

NOISY = ("boto3", "botocore", "s3transfer", "urllib3")
UNSAID = "(not shown: debug lines of this library hold customers' texts)"


def silence_debug_lines() -> None:
    """From now on, for the whole process; once is enough."""
    factory = logging.getLogRecordFactory()
    if getattr(factory, "is_silent", False):
        return

    def make_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        # `logging.makeLogRecord` has neither level nor name before it is filled.
        if (record.levelno or 0) <= logging.DEBUG and (record.name or "").split(".", 1)[0] in NOISY:
            record.msg, record.args, record.exc_info = UNSAID, (), None
        return record

    make_record.is_silent = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_record)
