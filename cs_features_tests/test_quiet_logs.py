"""Debug lines of the AWS libraries say that they were there, and no text of what was asked or written."""

import logging

import pytest

from cs_features.quiet_logs import silence_debug_lines

SECRET = "NL91ABNA0417164300"


def test_whatever_level_is_set_no_debug_line_shows_what_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    """With DEBUG, botocore's log held every text that was asked of the model."""
    silence_debug_lines()
    silence_debug_lines()
    with caplog.at_level(logging.DEBUG):
        for name in ("botocore.endpoint", "urllib3.connectionpool", "boto3", "botocore"):
            logger = logging.getLogger(name)
            logger.setLevel(logging.DEBUG)
            logger.debug("Sending %s", SECRET, exc_info=ValueError(SECRET))
            logger.debug("Sending " + SECRET)
            logger.setLevel(logging.NOTSET)
    assert len(caplog.records) == 8
    assert SECRET not in caplog.text


def test_warnings_of_theirs_and_debug_lines_of_others_are_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    silence_debug_lines()
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("botocore.credentials").warning("Found %s", "credentials")
        logging.getLogger("cs_features.aws").debug("said")
    assert [record.getMessage() for record in caplog.records] == ["Found credentials", "said"]
