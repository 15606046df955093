"""A sheet shows a colleague texts and lists and nothing else, and comes back as labels or as named cells."""

import io
import zipfile
from dataclasses import replace
from datetime import timedelta
from typing import Any

import openpyxl
import polars as pl
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import RequestError
from cs_features.privacy.policy import MaskingPolicy
from cs_features.review.drawing import DrawnSheet, DrawRequest, draw_review_sheet
from cs_features.review.receiving import find_drawn_sheet
from cs_features.review.records import Records
from cs_features.review.returned import (
    CANNOT_TELL,
    Reading,
    merge_returned_labels,
    open_returned_workbook,
    read_labels,
    read_score_cell,
)
from cs_features.review.words import (
    FALLBACK,
    LANGUAGES,
    choose_instruction_language,
    list_field_choices,
    load_language_words,
)
from cs_features.review.workbook import write_review_workbook
from cs_features.schemas import CATEGORICAL
from cs_features.storage import Tables
from cs_features_tests.support.review import (
    NOW,
    Colleague,
    answer_truthfully,
    fill_month,
    make_model,
    make_tables,
)

MODEL = make_model()


def drawn_from(tables: Tables, **changes: Any) -> DrawnSheet:
    request = DrawRequest("NL", 20)
    return draw_review_sheet(replace(request, **changes), MODEL, tables, NOW)


@pytest.fixture
def tables() -> Tables:
    made = make_tables()
    fill_month(made)
    return made


@pytest.fixture
def drawn(tables: Tables) -> DrawnSheet:
    return drawn_from(tables)


def take_back(drawn: DrawnSheet, body: bytes) -> Reading:
    return read_labels(open_returned_workbook("back.xlsx", body), drawn.sheet, drawn.drawn)


def read_everything(body: bytes) -> str:
    """All parts of the file as text."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return "".join(archive.read(name).decode("utf-8", "replace") for name in archive.namelist())


# --- the sheet --------------------------------------------------------------------------------


def test_a_sheet_holds_no_id_no_answer_and_no_personal_data() -> None:
    planted = "Bel mij op 0612345678, BSN 111222333, IBAN NL91ABNA0417164300, jan@voorbeeld.nl, 4111 1111 1111 1111."
    tables = make_tables()
    frame = fill_month(tables, rows=30, text=lambda number: f"{planted} Zaak nummer {number}.")
    drawn = drawn_from(tables, size=10)
    body = write_review_workbook(drawn)
    seen = read_everything(body)
    values = {str(cell) for row in openpyxl.load_workbook(io.BytesIO(body)).worksheets[1].values for cell in row[2:]}
    for secret in ("0612345678", "111222333", "NL91ABNA0417164300", "jan@voorbeeld.nl", "4111 1111 1111 1111"):
        assert secret not in seen
    assert not any(identifier in seen for identifier in frame["interaction_id"])
    assert drawn.sheet.model_id not in read_everything(body).replace("dataModel", "")
    headings = set(load_language_words("nl").headings.values())
    assert values - headings == {"None"}


def test_a_sheet_is_masked_though_the_model_sees_everything() -> None:
    """A setting may let the model read a country unmasked; a file that goes by mail is another matter."""
    tables = make_tables()
    fill_month(tables, rows=6, text=lambda number: f"IBAN NL91ABNA0417164300, zaak {number}")
    unmasked = replace(MODEL, masking=MaskingPolicy(frozenset({"NL"})))
    drawn = draw_review_sheet(DrawRequest("NL", 4), unmasked, tables, NOW)
    assert all("NL91" not in text and "_1]" in text for _, text in drawn.entries)


def test_the_text_stays_in_view_while_the_last_answer_is_given() -> None:
    """Seen in Warsaw's LibreOffice: the satisfaction was chosen beside an empty page, the text had scrolled away."""
    tables = make_tables()
    fill_month(tables, rows=6)
    page = openpyxl.load_workbook(io.BytesIO(write_review_workbook(drawn_from(tables, size=3)))).worksheets[1]
    assert page.freeze_panes == "C2"
    assert sum(column.width for column in page.column_dimensions.values()) <= 190, "a laptop shows no more"


@pytest.mark.parametrize(
    "start", ["=1+1", "+49 vraag", "-5 graden", "@iedereen", '=HYPERLINK("http://x")', "_x0041_ x"]
)
def test_a_text_is_never_a_formula_whatever_it_begins_with(start: str) -> None:
    """A customer's text is written into colleagues' spreadsheets: `=cmd|...` would be run there."""
    drawn_text = f"{start} rest"
    tables = make_tables()
    fill_month(tables, rows=3)
    drawn = drawn_from(tables, size=3)
    sheet = replace(drawn, entries=[(token, drawn_text) for token, _ in drawn.entries])
    page = openpyxl.load_workbook(io.BytesIO(write_review_workbook(sheet))).worksheets[1]
    assert {(cell.data_type, cell.hyperlink) for cell in page["B"][1:]} == {("s", None)}
    assert "<f>" not in read_everything(write_review_workbook(sheet)).split("definedName")[0]


def test_every_language_has_a_gloss_of_every_value_and_no_two_are_the_same() -> None:
    taxonomy = MODEL.prompts().taxonomy
    for language in {language for each in LANGUAGES.values() for language in each}:
        choices = list_field_choices(load_language_words(language), taxonomy)
        for field in CATEGORICAL:
            written = getattr(load_language_words(language), field)
            assert set(choices[field].values.values()) <= written.keys(), (language, field)
            assert len(set(written.values())) == len(written)


def test_a_value_without_a_gloss_is_offered_by_its_english_description() -> None:
    taxonomy = MODEL.prompts().taxonomy
    words = load_language_words("nl").model_copy(update={"primary_topic": {}})
    topics = list_field_choices(words, taxonomy)["primary_topic"].values
    assert list(topics.values()) == [entry.id for entry in taxonomy.topics]
    assert next(iter(topics)).startswith("Billing payment: Invoices")


def test_a_country_whose_words_nobody_has_written_gets_english_sheets() -> None:
    assert choose_instruction_language("DE", None) == FALLBACK
    assert (choose_instruction_language("BE", None), choose_instruction_language("BE", "fr")) == ("nl", "fr")
    with pytest.raises(RequestError, match="not in 'xx'"):
        choose_instruction_language("BE", "xx")


# --- what comes back --------------------------------------------------------------------------


def test_a_filled_sheet_comes_back_as_the_labels_that_were_chosen(drawn: DrawnSheet) -> None:
    colleague = Colleague(write_review_workbook(drawn))
    colleague.fill(answer_truthfully(drawn))
    reading = take_back(drawn, colleague.save())
    labels = merge_returned_labels(None, reading.labels).join(drawn.drawn, on="token", suffix="_model")
    assert reading.bad == []
    assert labels.height == 20
    for name in CATEGORICAL:
        assert labels[name].to_list() == labels[f"{name}_model"].to_list()


def test_each_bad_cell_is_named_and_the_good_ones_are_kept(drawn: DrawnSheet) -> None:
    colleague = Colleague(write_review_workbook(drawn))
    first, second, third, *_ = colleague.tokens
    colleague.fill(
        {
            first: {"C": "positief", "G": 0.55, "I": "let op"},
            second: {"C": "blij", "G": "0,5", "H": NOW.replace(tzinfo=None)},
            third: {"C": "Niet te  zeggen", "D": True},
        }
    )
    reading = take_back(drawn, colleague.save())
    rows = {token: colleague.tokens.index(token) + 2 for token in (first, second, third)}
    assert {(cell.row, cell.column) for cell in reading.bad} == {
        (rows[first], "G"),
        (rows[second], "C"),
        (rows[second], "H"),
        (rows[third], "D"),
    }
    assert {cell.sheet for cell in reading.bad} == {"Teksten"}
    assert reading.labels == {
        first: {"sentiment": "positive"},
        second: {"urgency_score": 0.5},
        third: {"sentiment": CANNOT_TELL},
    }
    assert reading.comments == 1


def test_a_sorted_sheet_is_read_by_its_codes(drawn: DrawnSheet) -> None:
    colleague = Colleague(write_review_workbook(drawn))
    colleague.fill(answer_truthfully(drawn))
    rows = [[cell.value for cell in row] for row in colleague.page.iter_rows(min_row=2)]
    for number, row in enumerate(sorted(rows, key=lambda row: str(row[1])[::-1]), start=2):
        for column, value in enumerate(row, start=1):
            colleague.page.cell(number, column, value)
    straight = take_back(drawn, colleague.save())
    assert straight.bad == []
    assert straight.labels.keys() == set(drawn.drawn["token"])


def test_a_text_that_no_longer_stands_beside_its_code_is_told_and_its_row_left_out(drawn: DrawnSheet) -> None:
    """Whoever sorts one column alone gives each text another's labels."""
    colleague = Colleague(write_review_workbook(drawn))
    colleague.fill(answer_truthfully(drawn))
    page = colleague.page
    page["A2"].value, page["A3"].value = page["A3"].value, page["A2"].value
    reading = take_back(drawn, colleague.save())
    assert {(cell.row, cell.column) for cell in reading.bad} == {(2, "B"), (3, "B")}
    assert len(reading.labels) == 18


def test_a_column_that_is_gone_is_told_and_the_others_are_kept(drawn: DrawnSheet) -> None:
    colleague = Colleague(write_review_workbook(drawn))
    colleague.fill(answer_truthfully(drawn))
    colleague.page.delete_cols(4)
    reading = take_back(drawn, colleague.save())
    assert [str(cell) for cell in reading.bad] == ["Teksten, row 1, column 'Onderwerp': the column is missing"]
    assert all(cells.keys() == {"sentiment", "intent", "resolution_status", "urgency_score", "csat_indicator"}
               for cells in reading.labels.values())  # fmt: skip


def test_a_row_that_is_there_twice_is_nobodys(drawn: DrawnSheet) -> None:
    colleague = Colleague(write_review_workbook(drawn))
    colleague.fill(answer_truthfully(drawn))
    token = colleague.tokens[0]
    colleague.page.append([cell.value for cell in colleague.page[2]])
    reading = take_back(drawn, colleague.save())
    assert token not in reading.labels
    assert {(cell.row, cell.column) for cell in reading.bad} == {(2, "A"), (22, "A")}


def test_a_cell_that_is_empty_the_second_time_takes_nothing_away(drawn: DrawnSheet) -> None:
    """Absence is not evidence: a file that was cut on its second way back would have deleted labels."""
    first = merge_returned_labels(None, {"t": {"sentiment": "positive", "intent": CANNOT_TELL}})
    second = merge_returned_labels(first, {"t": {"intent": "praise"}})
    assert second.select("sentiment", "intent").row(0) == ("positive", "praise")
    assert second["cannot_tell"].to_list() == [[]]


@given(st.one_of(st.none(), st.booleans(), st.text(), st.floats(), st.integers(), st.dates(), st.datetimes()))
def test_a_score_is_a_step_of_the_list_or_nothing(cell: Any) -> None:
    score = read_score_cell(cell)
    assert score is None or score in [step / 10 for step in range(11)]


@pytest.mark.parametrize(
    ("cell", "score"), [("0,3", 0.3), ("0.3", 0.3), (0.30000000000000004, 0.3), (1, 1.0), (0, 0.0)]
)
def test_a_decimal_comma_is_understood(cell: Any, score: float) -> None:
    assert read_score_cell(cell) == score


# --- files that are refused -------------------------------------------------------------------


def with_about(drawn: DrawnSheet, name: str, value: str) -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(write_review_workbook(drawn)))
    rows = {"format": 1, "sheet": 2, "country": 3}
    book["_about"].cell(rows[name], 2, value)
    body = io.BytesIO()
    book.save(body)
    return body.getvalue()


def make_long_file() -> bytes:
    body = io.BytesIO()
    with xlsxwriter.Workbook(body, {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        for row in range(2_500):
            sheet.write_number(row, 0, row)
    return body.getvalue()


def make_file_with_macros(drawn: DrawnSheet) -> bytes:
    body = io.BytesIO(write_review_workbook(drawn))
    with zipfile.ZipFile(body, "a") as archive:
        archive.writestr("xl/vbaProject.bin", b"x")
    return body.getvalue()


def test_files_that_are_no_sheet_of_ours_are_refused_in_one_sentence(drawn: DrawnSheet) -> None:
    plain = io.BytesIO()
    openpyxl.Workbook().save(plain)
    cases = [
        ("a.xlsm", write_review_workbook(drawn), "without macros"),
        ("a.xlsx", make_file_with_macros(drawn), "holds macros"),
        ("a.xlsx", b"", "is empty"),
        ("a.xlsx", b"no workbook", "cannot be read"),
        ("a.xlsx", write_review_workbook(drawn)[:2000], "cannot be read"),
        ("a.csv", b"x", "no .xlsx file"),
        ("a.xlsx", plain.getvalue(), "is no sheet of `review draw`"),
        ("a.xlsx", with_about(drawn, "format", "2"), "another version"),
        ("a.xlsx", make_long_file(), "more than 2,000 rows"),
    ]
    for name, body, sentence in cases:
        with pytest.raises(RequestError, match=sentence) as refused:
            open_returned_workbook(name, body)
        assert "\n" not in str(refused.value)


def test_a_sheet_in_which_nothing_is_filled_in_is_refused(drawn: DrawnSheet) -> None:
    with pytest.raises(RequestError, match="Nothing is filled in"):
        take_back(drawn, write_review_workbook(drawn))


def test_another_countrys_file_and_an_earlier_one_are_refused(tables: Tables, drawn: DrawnSheet) -> None:
    records, file = Records(tables.bucket), open_returned_workbook("a.xlsx", write_review_workbook(drawn))
    assert find_drawn_sheet(records, file, "NL") == drawn.sheet
    with pytest.raises(RequestError, match="a sheet of NL, not of BE"):
        find_drawn_sheet(records, file, "BE")
    draw_review_sheet(DrawRequest("NL", 5), MODEL, tables, NOW + timedelta(days=30))
    with pytest.raises(RequestError, match="ask for that one"):
        find_drawn_sheet(records, file, "NL")
    assert find_drawn_sheet(records, file, "NL", late=True) == drawn.sheet
    elsewhere = Records(make_tables().bucket)
    with pytest.raises(RequestError, match="No such sheet"):
        find_drawn_sheet(elsewhere, file, None)


# --- the sample -------------------------------------------------------------------------------


def test_two_sheets_share_no_random_item_and_all_that_is_needed_is_on_record(tables: Tables) -> None:
    first, second = drawn_from(tables), drawn_from(tables, reader=2)
    at_random = [each.drawn.filter(pl.col("kind") == "random") for each in (first, second)]
    assert not set(at_random[0]["interaction_id"]) & set(at_random[1]["interaction_id"])
    assert {each.id for each in Records(tables.bucket).list_drawn_sheets("NL")} == {first.sheet.id, second.sheet.id}
    assert Records(tables.bucket).read_drawn_items(first.sheet).equals(first.drawn)
    assert first.sheet.prompt_version == "v1"
    assert at_random[0]["probability"].is_between(0, 1, closed="right").all()


def test_a_second_colleague_is_asked_some_of_the_firsts_and_the_first_some_again(tables: Tables) -> None:
    first = drawn_from(tables)
    second = drawn_from(tables, reader=2)
    doubled = set(second.drawn.filter(pl.col("kind") == "doubled")["interaction_id"])
    assert len(doubled) == 2
    assert doubled < set(first.drawn.filter(pl.col("kind") == "random")["interaction_id"])
    assert drawn_from(tables).drawn.filter(pl.col("kind") == "repeated").is_empty()  # nothing has come back yet
    Records(tables.bucket).save_returned_labels(
        first.sheet, merge_returned_labels(None, {first.drawn["token"][0]: {"intent": "praise"}})
    )
    third = drawn_from(tables)
    assert third.drawn.filter(pl.col("kind") == "repeated").height == 2


def test_only_the_newest_prompt_of_the_month_is_drawn() -> None:
    tables = make_tables()
    fill_month(tables, versions=("v1", "v2"))
    drawn = drawn_from(tables)
    assert set(drawn.drawn["prompt_version"]) == {"v2"}
    assert sum(each["rows"] for each in drawn.sheet.strata.values()) == 60


def test_a_month_without_features_is_told(tables: Tables) -> None:
    with pytest.raises(RequestError, match="no validated features in 2026-10"):
        drawn_from(tables, month=NOW.date().replace(month=10, day=1))
    with pytest.raises(RequestError, match="in fr"):
        drawn_from(tables, texts=("fr",))
