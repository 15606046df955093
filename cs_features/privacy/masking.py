"""Placeholders for personal data: a value has the same one throughout an interaction, and none says whose it was.

What counts as personal is found in `detection.py`. The original stays where it landed; no table from placeholder to
value is kept anywhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cs_features.privacy.detection import find_personal_data
from cs_features.privacy.folding import fold_text
from cs_features.privacy.spans import Kind, Span


@dataclass(frozen=True, slots=True)
class MaskedText:
    """`text` with placeholders; `spans` say what stood where in the original."""

    text: str
    spans: tuple[Span, ...] = ()


@dataclass
class Placeholders:
    """Numbers the values of one interaction, a count a kind."""

    numbers: dict[tuple[Kind, str], int] = field(default_factory=dict)
    counts: dict[Kind, int] = field(default_factory=dict)

    def name_value(self, kind: Kind, value: str) -> str:
        folded = fold_text(value).data.decode("ascii").casefold()
        key = kind, "".join(filter(str.isalnum, folded))
        if key not in self.numbers:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.numbers[key] = self.counts[kind]
        return f"[{kind.value}_{self.numbers[key]}]"


def mask_personal_data(text: str, country: str) -> MaskedText:
    """One text without personal data."""
    return mask_turns([text], country)[0]


def mask_turns(texts: Iterable[str], country: str) -> list[MaskedText]:
    """The texts of one interaction in their order, with placeholders that they share."""
    placeholders = Placeholders()
    masked, before = [], ""
    for text in texts:
        spans = find_personal_data(text, country, before)
        masked.append(MaskedText(_replace(text, spans, placeholders), tuple(spans)))
        before = text
    return masked


def _replace(text: str, spans: Iterable[Span], placeholders: Placeholders) -> str:
    parts, position = [], 0
    for span in spans:
        parts += [text[position : span.start], placeholders.name_value(span.kind, text[span.start : span.end])]
        position = span.end
    parts.append(text[position:])
    return "".join(parts)
