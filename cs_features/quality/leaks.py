"""Whether a worked example of the prompts leaks into the golden corpus: it would turn the evaluation into a test of
memory. Texts are compared by their words; whether the files themselves are valid is told by who reads them.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cs_features.extraction.examples import Example
from cs_features.extraction.prompts import Prompts
from cs_features.quality.golden import GoldenItem

WORDS_IN_A_ROW = 5

# Letter formulas that half of all mails share: they carry nothing that could be remembered.
FORMULAS = (
    "sehr geehrte damen und herren",
    "mit freundlichen grüßen",
    "je vous saurais gré de me",
    "veuillez agréer mes salutations distinguées",
)


def shared_words(one: str, other: str) -> str | None:
    """The first `WORDS_IN_A_ROW` words in a row that both texts hold, formulas apart."""
    runs = set(_runs(_plain(other)))
    return next((run for run in _runs(_plain(one)) if run in runs), None)


def _plain(text: str) -> str:
    plain = " ".join(re.findall(r"\w+", text.lower()))
    for formula in FORMULAS:
        plain = plain.replace(formula, " | ")  # a border that no run of words crosses
    return plain


def _runs(plain: str) -> Iterator[str]:
    for stretch in plain.split("|"):
        words = stretch.split()
        for start in range(len(words) - WORDS_IN_A_ROW + 1):
            yield " ".join(words[start : start + WORDS_IN_A_ROW])


def leaks(prompts: Prompts, items: Iterable[GoldenItem], folder: Path) -> list[str]:
    """A line each golden item that shares words with a worked example, with both files and lines."""
    examples: list[tuple[Path, Example]] = [(folder / "instructions.md", example) for example in prompts.examples]
    for country, file in prompts.countries.items():
        examples += [(folder / "countries" / f"{country}.md", example) for example in file.examples]
    said = [(path, example, re.sub(r"^\w+: ", "", example.text, flags=re.M)) for path, example in examples]
    found = []
    numbers: dict[str, int] = {}
    for item in items:
        numbers[item.language] = number = numbers.get(item.language, 0) + 1  # one item a line, in order
        for path, example, words in said:
            if run := next(filter(None, (shared_words(turn.text, words) for turn in item.turns)), None):
                found.append(
                    f"{folder / 'golden' / item.language}.jsonl:{number}: {item.id} says {run!r} like the example "
                    f"at {path}:{example.line}: write one of them anew"
                )
    return found
