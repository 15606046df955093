"""`make lint`'s look at `prompts/`: every file is valid, and no worked example leaks into the golden corpus.

An example that shares its words with a golden item would turn the evaluation into a test of memory.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from cs_features.environments import settings
from cs_features.extraction.examples import Example
from cs_features.extraction.prompts import PromptError, Prompts, load_prompts
from cs_features.quality.golden import GoldenItem, load_golden

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


def main(folder: Path | None = None) -> int:
    folder = folder or settings().prompts_dir
    try:
        prompts = load_prompts(folder)
        items = load_golden(folder, prompts)
    except PromptError as error:
        print(error, file=sys.stderr)
        return 1
    problems = leaks(prompts, items, folder)
    print("\n".join(problems) or f"{len(prompts.every_example())} examples and {len(items)} golden items are valid")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
