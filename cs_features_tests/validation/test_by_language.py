"""What a partition's interactions became, language by language."""

import polars as pl

from cs_features.validation.by_language import count_by_language

RAW = pl.DataFrame(
    {
        "interaction_id": ["1", "2", "3", "4"],
        "status": ["accepted", "accepted", "accepted", "rejected"],
        "language": ["nl", "nl", "de", None],
        "language_detected": ["nl", "fr", "de", None],
    }
)
EXTRACTIONS = pl.DataFrame(
    {"interaction_id": ["1", "2", "3"], "reused": [False, True, False], "cost_usd": [0.25, 0.5, 0.125]}
)
VALIDATED = pl.DataFrame({"interaction_id": ["1", "3"], "urgency_score": [0.6, 0.1], "csat_indicator": [0.9, 0.4]})


def test_each_language_has_its_row_and_what_was_paid_before_is_not_paid_again() -> None:
    rows = count_by_language(RAW, EXTRACTIONS, VALIDATED, urgent_from=0.6, dissatisfied_to=0.4).rows()
    assert rows == [("nl", 2, 1, 1, 1, 1, 0, 0.25), ("de", 1, 0, 1, 0, 0, 1, 0.125)]


def test_tables_of_older_versions_are_counted_too() -> None:
    """Figures for the UI failed the step, and with it both doors of the gate."""
    rows = count_by_language(RAW.drop("language_detected"), EXTRACTIONS.drop("reused"), VALIDATED, 0.6, 0.4).rows()
    assert rows == [("nl", 2, 0, 1, 1, 1, 0, 0.75), ("de", 1, 0, 1, 0, 0, 1, 0.125)]


def test_a_day_without_documents_has_no_row() -> None:
    counted = count_by_language(RAW.clear(), EXTRACTIONS.clear(), VALIDATED.clear(), 0.6, 0.4)
    assert (counted.height, counted.width) == (0, 8)
