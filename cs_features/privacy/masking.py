"""Placeholders for personal data: a value has the same one throughout an interaction, and none says whose it was.

What counts as personal is found in `detection.py`. The original stays where it landed; no table from placeholder to
value is kept anywhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cs_features.privacy.detection import find_personal_data
from cs_features.privacy.folding import TURN_END, fold_text
from cs_features.privacy.spans import Kind, Span


@dataclass(frozen=True, slots=True)
class MaskedText:
    """`text` with placeholders; `spans` say what stood where in the original."""

    text: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is kept of a text, from `start` to `end`; a value at either end is recognised by what stands around it."""

    text: str
    start: int
    end: int

    @classmethod
    def of_whole(cls, text: str) -> "Excerpt":
        return cls(text, 0, len(text))


@dataclass
class Placeholders:
    """Numbers the values of one interaction, a count a kind."""

    numbers: dict[tuple[Kind, str], int] = field(default_factory=dict)
    counts: dict[Kind, int] = field(default_factory=dict)

    def name_masked_value(self, kind: Kind, value: str) -> str:
        # In ASCII there is nothing to fold but case: a hostile text has four thousand values.
        folded = (value if value.isascii() else fold_text(value).data.decode("ascii")).casefold()
        key = kind, folded if folded.isalnum() else "".join(filter(str.isalnum, folded))
        if key not in self.numbers:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.numbers[key] = self.counts[kind]
        return f"[{kind.value}_{self.numbers[key]}]"


def mask_personal_data(text: str, country: str) -> MaskedText:
    """One text without personal data."""
    return mask_text_excerpts([Excerpt.of_whole(text)], country)[0]


def mask_conversation_turns(texts: Iterable[str], country: str) -> list[MaskedText]:
    """The texts of one interaction in their order, with placeholders that they share."""
    return mask_text_excerpts([Excerpt.of_whole(text) for text in texts], country)


def mask_text_excerpts(excerpts: Sequence[Excerpt], country: str) -> list[MaskedText]:
    """The same of parts of texts; the spans are those of the whole text that reach into its excerpt."""
    # Searched as one: a name that is introduced once is known in every turn, and an answer by its question.
    spans = iter(find_personal_data(TURN_END.join(excerpt.text for excerpt in excerpts), country))
    placeholders, masked, offset = Placeholders(), [], 0
    span = next(spans, None)
    for excerpt in excerpts:
        own, stop = [], offset + len(excerpt.text)
        while span is not None and span.start < stop:
            own.append(Span(span.kind, max(0, span.start - offset), min(len(excerpt.text), span.end - offset)))
            if span.end > stop:  # goes on in the next text
                break
            span = next(spans, None)
        masked.append(_mask_text_excerpt(excerpt, own, placeholders))
        offset = stop + len(TURN_END)
    return masked


def _mask_text_excerpt(excerpt: Excerpt, spans: Iterable[Span], placeholders: Placeholders) -> MaskedText:
    inside = [span for span in spans if span.end > excerpt.start and span.start < excerpt.end]
    parts, position = [], excerpt.start
    for span in inside:
        value = excerpt.text[span.start : span.end]
        parts += [excerpt.text[position : max(position, span.start)], placeholders.name_masked_value(span.kind, value)]
        position = span.end
    parts.append(excerpt.text[position : excerpt.end])
    return MaskedText("".join(parts), tuple(inside))
