"""What of personal data is found and what is not, by kind and language, plain and evasive; and what finding it takes.

The corpus is planted (`planted_values.py`, `planted_sentences.py`), so what must be covered is known: a value counts as
covered when no letter and no digit of it is left. The hostile texts are repetitions of whatever a pattern may begin
with. Figures on real texts are read by a person and stand in docs/privacy.md.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from cs_features.extraction.envelope import render_interaction
from cs_features.extraction.models import capabilities_of
from cs_features.landing.documents import DocumentReader, read_landed_document
from cs_features.landing.files import Piece
from cs_features.local.bench import planted_sentences as sentences
from cs_features.local.bench.figures import Figure, Say, at_least, at_most
from cs_features.local.bench.planted_values import CHECKSUM_KINDS, EVASIONS, MAKERS
from cs_features.partitions import Partition
from cs_features.privacy.detection import find_personal_data, find_structured_spans
from cs_features.privacy.folding import fold_text
from cs_features.schemas import Interaction
from cs_features.utterances.injections import looks_like_injection
from cs_features.validation.rejected_text import mask_rejected_payload

SURE_KINDS = (*CHECKSUM_KINDS, "mail", "phone", "ip", "link")
HOSTILE = (
    "a", "1", "1 ", "a@", "a@b.co ", "at ", " a dot ", "http://a/?", "1.1.1.1 ", "a:b:", "::1 ", "AB12", "NL91 ",
    "is 24 ", "NL91ABNA0417164300 ", "06 12345678 ", "X1234567L ", "passport ", "AB123456 ", "12-AB-34 ", "born 1 ",
    "1 jan 1990 ", "12.04.1967 ", "1.234.567 ", "Aa ", "Aastraat 1 ", "1 rue de ", "ul. Aa ", "my name is Aa Bb, ",
    "Mr Aa ", "regards\n", "van der ", "name: ", "pin: abc ", "\u200b", "\u0661", "e\u0301", "\U0001f600", "<br>",
    "\n", "> a\n", "<a x=\"a\" ", "10:10 <a@b", "Am schrieb ", ("Ab1" * 133 + "\n"), "--\n", "From: a\n",
    "data:a/a;b", "<blockquote type=cite>", "> a\n> a\n\n", "\n\n\n> a\n> a\n", "Hi Jan\n", "Dr. Hi Jan\n",
    "Groeten,\nJan\n", "NL91ABNA0417164300 \u201c", "1\u00a0name: .<br>", "x@y From: a\n", "12:30\n", "Sent from my \n",
    "<div><p>x</p>", "\U000e0041", "\u202e", "\U0001f1f3\U0001f1f1", "(06) ", "[at]", "\uff21", "\u0641",
)  # fmt: skip
# Found by a search that mutated texts and kept the slower one.
HOSTILE_FORMS = (
    "Dr. Hi ~\n", "Mr ~ ", "Mr NL##", "is ## ", "X#######L ", "#Ａ\ufb01#######\u201c", "\nA#######@\u00bd", "@#### ~",
    "\u0627\u0633\u0645\u064a ~ ", "10:10 ~:\n", "Op wrote: 10:10 ~:\n", "my name is ~ ", "<p>~</p>",
    "1\u00a0name: ~ .<br>",
    "~@~.nl ", "born #.#.19## ", "0# ## ## ", "AB-##-CD ", "From: ~\nTo: ~\n\n", "\u200bDr. Hi ~\n", "~straat ## ",
)  # fmt: skip
LIMIT = capabilities_of("eu.anthropic.claude-haiku-5-5").input_characters


@dataclass(frozen=True)
class Planted:
    """One sentence with one value in it."""

    kind: str
    language: str
    country: str
    text: str
    start: int
    end: int
    is_evasive: bool = False

    def is_covered(self) -> bool:
        spans = find_personal_data(self.text, self.country)
        left = set(range(self.start, self.end)).difference(*(range(span.start, span.end) for span in spans))
        return not any(self.text[place].isalnum() for place in left)

    def is_touched(self) -> bool:
        spans = find_personal_data(self.text, self.country)
        return any(span.start < self.end and span.end > self.start for span in spans)


def measure_privacy(quick: bool, say: Say) -> list[Figure]:
    rng = random.Random(13)
    planted = list(plant_values(rng, 3 if quick else 40))
    say(f"{len(planted)} planted values")
    figures = [*_measure_recall(planted), _measure_innocent(list(plant_innocent(rng)))]
    say("time")
    return [*figures, *_measure_speed(planted), *_measure_hostile(quick, say)]


def plant_values(rng: random.Random, each: int) -> Iterator[Planted]:
    for language, (country, carriers) in sentences.CARRIERS.items():
        for kind, make in MAKERS.items():
            for number in range(each):
                value, evasions = make(rng, country), EVASIONS.get(kind)
                yield _plant(kind, language, country, rng.choice(carriers), value)
                if evasions:
                    spelled = evasions[number % len(evasions)](rng, value)
                    yield _plant(kind, language, country, rng.choice(carriers), spelled, is_evasive=True)
        for template in sentences.INTRODUCTIONS[language]:
            for name in sentences.NAMES[language]:
                yield _plant("introduced name", language, country, template, name)
        for name in sentences.NAMES[language]:
            yield _plant("bare name", language, country, rng.choice(carriers), name)
        for kind, texts in (("address", sentences.ADDRESSES), ("birth date", sentences.BIRTHS)):
            for text in texts[language]:
                before, value, after = text.replace("}", "{").split("{")
                yield _plant(kind, language, country, f"{before}{{}}{after}", value)


def plant_innocent(rng: random.Random) -> Iterator[Planted]:
    for language, (country, carriers) in sentences.CARRIERS.items():
        for value in sentences.INNOCENT:
            yield _plant("innocent", language, country, rng.choice(carriers), value)


def _plant(kind: str, language: str, country: str, carrier: str, value: str, *, is_evasive: bool = False) -> Planted:
    start = carrier.index("{}")
    text = carrier.replace("{}", value, 1)
    return Planted(kind, language, country, text, start, start + len(value), is_evasive)


def measure_share(planted: list[Planted]) -> float:
    return sum(each.is_covered() for each in planted) / len(planted) if planted else 1.0


def _measure_recall(planted: list[Planted]) -> list[Figure]:
    bars = {**dict.fromkeys(SURE_KINDS, 1.0), "passport": 0.95, "address": 0.9, "introduced name": 0.9}
    figures = []
    for kind in dict.fromkeys(each.kind for each in planted):
        for is_evasive in (False, True):
            own = [each for each in planted if each.kind == kind and each.is_evasive == is_evasive]
            if own:
                bar = 0.97 if is_evasive and kind in SURE_KINDS else bars.get(kind)
                figures.append(_rate(f"{kind}{', evasive' if is_evasive else ''} covered", own, bar))
    return figures


def _rate(what: str, planted: list[Planted], bar: float | None) -> Figure:
    by_language = {
        language: measure_share([each for each in planted if each.language == language])
        for language in dict.fromkeys(each.language for each in planted)
    }
    worst = ", ".join(f"{language} {100 * share:.0f}" for language, share in by_language.items() if share < 1)
    note = f"{len(planted)} values{'; below 100: ' + worst if worst else ''}"
    share = measure_share(planted)
    if bar is None:
        return Figure(what, f"{100 * share:.1f} % ({note})", share)
    return at_least(what, share, bar, lambda value: f"{100 * value:.1f} %", note)


def _measure_innocent(planted: list[Planted]) -> Figure:
    touched = [each for each in planted if each.is_touched()]
    what = sorted({each.text[each.start : each.end] for each in touched})
    share = len(touched) / len(planted)
    return at_most("innocent spans masked", share, 0.02, lambda value: f"{100 * value:.2f} %", ", ".join(what[:8]))


def _measure_speed(planted: list[Planted]) -> list[Figure]:
    text = " ".join(each.text for each in planted)[:24_000]
    folded = fold_text(text).data
    figures = []
    for what, bar, work in (
        ("structured kinds, a 1,000 characters", 1.0, lambda: list(find_structured_spans(folded, "NL"))),
        ("all kinds, a 1,000 characters", 2.0, lambda: find_personal_data(text, "NL")),
    ):
        figures.append(at_most(what, _time(work) / len(text) * 1000, bar, lambda value: f"{value:.2f} ms"))
    return figures


def _measure_hostile(quick: bool, say: Say) -> list[Figure]:
    """The sum of all that happens to one text, in the run that reads it and asks the model for it."""
    sizes = [(24_000, 50.0)] if quick else [(24_000, 50.0), (2_000_000, 1000.0)]
    figures = []
    for size, bar in sizes:
        found = {form: _process_hostile(_fill_form(form, size)) for form in HOSTILE + HOSTILE_FORMS}
        worst = max(found, key=lambda form: sum(found[form]))
        read, asked = found[worst]
        say(f"{size} characters: landing {read:.0f} ms, extraction {asked:.0f} ms")
        figures.append(
            at_most(
                f"slowest of {len(found)} hostile texts of {size:,} characters: parsed, cleaned, language, masked",
                read + asked,
                bar,
                lambda value: f"{value:.0f} ms",
                f"{worst[:24]!r}, of it landing {read:.0f}",
            )
        )
    return figures


def _fill_form(form: str, size: int) -> str:
    """The form again and again, each time with other digits for # and another name for ~: nothing is met twice."""
    rng = random.Random(5)
    if "#" not in form and "~" not in form:
        return (form * (size // len(form) + 1))[:size]
    text = "".join(_draw_part(rng, each) for _ in range(min(size, 24_000) // len(form) + 1) for each in form)
    return (text * (size // len(text) + 1))[:size]


def _draw_part(rng: random.Random, character: str) -> str:
    if character == "~":
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 5))).capitalize()
    return rng.choice("0123456789") if character == "#" else character


def _process_hostile(text: str) -> tuple[float, float]:
    """Milliseconds of the two steps: a document becomes a row, and a row the model's request."""
    made = {
        "interaction_id": str(uuid.uuid4()),
        "occurred_at": "2026-11-24T09:30:00Z",
        "country": "NL",
        "channel": "email",
        "text": text,
    }
    piece = Piece(1, json.dumps(made, ensure_ascii=False).encode())
    reader = DocumentReader(Partition("NL", date(2026, 11, 24)), ("nl", "en", "de", "fr", "pl", "tr", "ar", "uk"))
    row = read_landed_document(piece, reader)
    read = _time(lambda: read_landed_document(piece, reader), times=2)
    return read, _time(lambda: _prepare_request(row), times=2)


def _prepare_request(row: dict[str, Any]) -> None:
    if row["status"] == "rejected":
        mask_rejected_payload(row["payload"], "NL")
        return
    interaction = Interaction.model_validate_json(row["payload"])
    looks_like_injection(turn.text for turn in interaction.utterances)
    render_interaction(interaction, "nl", LIMIT)


def _time(work: Callable[[], object], times: int = 3) -> float:
    """Milliseconds of CPU, the best of some: a neighbour's load is not ours."""
    taken = []
    for _ in range(times):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return 1000 * min(taken)
