"""No text takes more than linear time: what the detector and the readers are made of, and texts that broke others."""

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

import cs_features.privacy
from cs_features.languages import detect_language
from cs_features.local.bench.privacy import HOSTILE
from cs_features.privacy.detection import MAX_SEARCHED, find_personal_data
from cs_features.privacy.folding import fold_text
from cs_features.privacy.spans import Kind
from cs_features.utterances.readable import clean_utterance_text

OPERATIONS_A_CHARACTER = 9
FOLDER = Path(cs_features.privacy.__file__).parent


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_only_the_linear_engine_is_used_in_this_folder(path: Path) -> None:
    """`<` and 24,000 spaces took a pattern of the other engine 3.2 s."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert not imported & {"re", "regex", *({"re2"} if path.name != "linear.py" else ())}


@pytest.mark.parametrize("piece", HOSTILE, ids=lambda piece: ascii(piece)[:24])
def test_a_hostile_text_is_read_and_masked(piece: str) -> None:
    """One document of 2 MB held a partition for 14 minutes: here anything but linear time would be noticed by hand."""
    text = (piece * (60_000 // len(piece) + 1))[:60_000]
    find_personal_data(clean_utterance_text(text, is_mail=True), "NL")
    detect_language(text, ("nl", "en"))


def count_operations(text: str) -> int:
    """Calls of functions, of Python and of C, while a text is read and masked: the same on every machine."""
    count = 0

    def note(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        find_personal_data(clean_utterance_text(text, is_mail=True), "NL")
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("piece", HOSTILE, ids=lambda piece: ascii(piece)[:24])
def test_reading_and_masking_a_hostile_text_is_few_operations_a_character(piece: str) -> None:
    """Quotes with blank lines between them were looked at again for each quote: a mail of 300,000 characters took a
    minute and a half. And a text of greetings alone, 3,400 names, took three times as long as any other."""
    short, long = (piece * (size // len(piece)) for size in (3_000, 9_000))  # whole ones: half a quote is another text
    count_operations(short)  # patterns are compiled when they are first asked
    assert count_operations(long) < OPERATIONS_A_CHARACTER * len(long)
    assert count_operations(long) < 3.3 * count_operations(short) + 1_000


def test_what_is_not_searched_is_left_out_and_not_passed_on() -> None:
    """A bound that lets the rest through unread would be the way around it."""
    text = "x " * MAX_SEARCHED + "call 0612345678"
    spans = find_personal_data(text, "NL")
    assert [span.kind for span in spans] == [Kind.LEFT_OUT, Kind.PHONE]
    assert spans[0].end - spans[0].start == len(text) - MAX_SEARCHED


@pytest.mark.parametrize(
    "text", ["é", "e\u0301", "ﬁn 12", "\u200b1\u200b2", "\U0001f600 x", "Ἀθήνα", "١٢٣", "½ l", "\ud83d", ""]
)
def test_every_folded_character_knows_where_it_came_from(text: str) -> None:
    """One character too far to the left and the last digit of a number stays."""
    folded = fold_text(text)
    assert len(folded.starts) == len(folded.data) + 1
    assert list(folded.starts) == sorted(folded.starts)
    assert folded.starts[-1] == len(text)
