"""What a reject shows of its document: enough to mend the feed, and nobody's data."""

import json

import polars as pl
import pytest

from cs_features.validation.rejected_text import SHOWN_CHARACTERS, mask_rejected_payload, mask_rejected_rows
from cs_features_tests.support.documents import document, id_of

MAIL, IBAN = "jan.jansen@example.com", "NL91ABNA0417164300"


def test_a_document_stays_json_and_one_value_has_one_placeholder_wherever_it_stands() -> None:
    """Every kind of personal data stood in `rejected_records.payload`, which is the table that people read."""
    turns = [{"speaker": "customer", "text": f"Ik ben {MAIL}, rekening {IBAN}"}, {"speaker": "agent", "text": MAIL}]
    masked = mask_rejected_payload(json.dumps(document(1, turns=turns, **{MAIL: 1})), "NL")
    assert MAIL not in masked
    assert IBAN not in masked
    read = json.loads(masked)
    assert read["interaction_id"] == id_of(1)
    assert read["occurred_at"] == document(1)["occurred_at"]
    assert read["turns"][1]["text"] in read["turns"][0]["text"]
    assert read["turns"][0]["text"].startswith("Ik ben [")


@pytest.mark.parametrize(
    "payload",
    [
        f"{{broken {MAIL} {IBAN}",
        json.dumps({"text": f"{MAIL} {IBAN}"})[:-1],
        json.dumps([MAIL, {"a": [IBAN]}]),
        '{"text": "jan.jansen\\u0040example.com", "account": "NL91\\u0041BNA0417164300"',
        "x" * (SHOWN_CHARACTERS + 1) + MAIL + IBAN,
        "[" * 5_000 + MAIL,
        f"{MAIL}{chr(0xD800)}{IBAN}",
    ],
)
def test_nothing_personal_is_left_in_what_is_no_document_either(payload: str) -> None:
    masked = mask_rejected_payload(payload, "NL")
    assert MAIL not in masked
    assert IBAN not in masked
    assert "0417164300" not in masked


def test_a_number_that_is_somebodys_is_masked_and_others_stay_numbers() -> None:
    masked = json.loads(mask_rejected_payload('{"bsn": 123456782, "pieces": 3, "share": 0.5}', "NL"))
    assert masked["pieces"] == 3
    assert masked["share"] == 0.5
    assert masked["bsn"] != 123456782


def test_ids_and_details_are_masked_and_a_uuid_is_none_of_them() -> None:
    """Producers without ids write a mail address there."""
    rows = pl.DataFrame(
        {"interaction_id": [MAIL, id_of(1), None], "detail": [f"id {MAIL}", "x", ""], "payload": ["", "", ""]}
    )
    masked = mask_rejected_rows(rows, "NL")
    assert MAIL not in str(masked.to_dicts())
    assert masked["interaction_id"][1:].to_list() == [id_of(1), None]
    assert masked["payload"].to_list() == ["", "", ""]
