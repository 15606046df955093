"""The first rejects of a partition in the UI: what a model or a service said of a document is not shown."""

import re

import polars as pl
import pytest

from cs_features.reporting.rejects import SHOWN_REJECTS, list_first_rejects, name_file


def reject(line: int, stage: str, reason: str, detail: str) -> dict[str, object]:
    uri = "s3://landing/interactions/country=NL/date=2026-11-24/a.jsonl"
    return {
        "stage": stage,
        "reason": reason,
        "detail": detail,
        "source_uri": uri,
        "source_line": line,
        "payload": "Pieter",
    }


def test_rejects_show_file_and_line_and_no_text() -> None:
    frame = pl.DataFrame(
        [
            reject(9, "extraction", "request_refused", "the service said: Pieter"),
            reject(3, "landing", "missing_field", "channel: Field required"),
            reject(4, "landing", "of_another_version", "x"),
        ]
    )
    assert list_first_rejects(frame).rows() == [
        ("landing", "missing_field", "channel: Field required", "a.jsonl", 3),
        ("landing", "of_another_version", "x", "a.jsonl", 4),
        ("extraction", "request_refused", "Bedrock refuses this request", "a.jsonl", 9),
    ]


def test_twenty_are_shown() -> None:
    frame = pl.DataFrame([reject(line, "landing", "empty_text", "") for line in range(1, 50)])
    assert list_first_rejects(frame)["line"].to_list() == list(range(1, SHOWN_REJECTS + 1))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("berichten_tel_nl.jsonl", r"berichten_tel_nl\.jsonl"),
        ("chat_export_0900.jsonl", r"chat~[0-9a-f]{6}\.jsonl"),
        ("jan.jansen@example.nl.jsonl", r"jan~[0-9a-f]{6}\.jsonl"),
    ],
)
def test_a_file_can_be_found_and_names_nobody(name: str, shown: str) -> None:
    """`(TOKEN_1).jsonl` was all that was told of two files of one morning."""
    assert re.fullmatch(shown, name_file(name))
