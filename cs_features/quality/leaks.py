"""Whether a worked example of the prompts leaks into the golden corpus: it would turn the evaluation into a test of
memory. Texts are compared by their words; whether the files themselves are valid is told by who reads them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from cs_features.extraction.examples import Example
from cs_features.extraction.prompts import Prompts
from cs_features.quality.golden import GoldenCorpus, GoldenItem

WORDS_IN_A_ROW = 5

# Letter formulas that half of all mails share: they carry nothing that could be remembered.
FORMULAS = (
    "sehr geehrte damen und herren",
    "mit freundlichen grüßen",
    "je vous saurais gré de me",
    "veuillez agréer mes salutations distinguées",
)


def find_shared_words(one: str, other: str) -> str | None:
    """The first `WORDS_IN_A_ROW` words in a row that both texts hold, formulas apart."""
    runs = set(_list_runs(_strip_word_punctuation(other)))
    return next((run for run in _list_runs(_strip_word_punctuation(one)) if run in runs), None)


def _strip_word_punctuation(text: str) -> str:
    plain = " ".join(re.findall(r"\w+", text.lower()))
    for formula in FORMULAS:
        plain = plain.replace(formula, " | ")  # a border that no run of words crosses
    return plain


def _list_runs(plain: str) -> Iterator[str]:
    for stretch in plain.split("|"):
        words = stretch.split()
        for start in range(len(words) - WORDS_IN_A_ROW + 1):
            yield " ".join(words[start : start + WORDS_IN_A_ROW])


def find_leaks(prompts: Prompts, corpus: GoldenCorpus, folder: Path) -> list[str]:
    """A line each golden item that shares words with a worked example, with both files and lines."""
    examples: list[tuple[Path, Example]] = [(folder / "instructions.md", example) for example in prompts.examples]
    for country, file in prompts.countries.items():
        examples += [(folder / "countries" / f"{country}.md", example) for example in file.examples]
    found = []
    for item in corpus.items:
        for path, example in examples:
            run = _find_golden_leak(item, example)
            if run is not None:
                found.append(
                    f"{corpus.places[item.id]}: {item.id} says {run!r} like the example at {path}:{example.line}: "
                    "write one of them anew"
                )
    return found


def _find_golden_leak(item: GoldenItem, example: Example) -> str | None:
    words = re.sub(r"^\w+: ", "", example.text, flags=re.M)  # without the speakers
    for turn in item.turns:
        run = find_shared_words(turn.text, words)
        if run is not None:
            return run
    return None
