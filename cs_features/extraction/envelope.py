"""An interaction as the model is told it: cut to its limit, masked, turn by turn, in an envelope that none can close.

Text is data here. Whatever somebody writes, no line but the first of a turn begins at column 0, and it begins with who
speaks; nothing that reads like our tags is left, and nothing that a reader cannot see. Not here: which words are a
turn's (`utterances/`), what is personal (`privacy/`), and what the model makes of it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cs_features.privacy.folding import fold_text
from cs_features.privacy.linear import LinearPattern
from cs_features.privacy.masking import Excerpt, MaskedText, mask_text_excerpts
from cs_features.privacy.policy import MASK_EVERYTHING, MaskingPolicy
from cs_features.schemas import Interaction, Turn
from cs_features.utterances.readable import read_utterance_turns

LEFT_OUT = "system: [middle of the interaction left out, too long]"
CONTINUED = "[continued] "
_AROUND = 200  # characters beyond a cut by which a value at it is recognised

# Our tag's name as it is read: spaced out, with digits for letters, in Cyrillic or full-width, and in small pieces.
_TAG_NAME = LinearPattern(
    r"[i1l!|]\W{0,3}n\W{0,3}t\W{0,3}[e3]\W{0,3}r\W{0,3}[a4@]\W{0,3}[cs]\W{0,3}t\W{0,3}[i1l!|]\W{0,3}[o0]\W{0,3}n",
    ignore_case=True,
)
# Everything that looks like the bracket before it, entities included.
_OPENERS = "<\uff1c\ufe64\u2039\u3008\u27e8\u02c2\u1438\u276e\u276c\u29fc\u226a\u22d6\u00ab\u2329\u2770\u1403\u16b2"
_ENTITIES = ("&lt", "&LT", "&#60", "&#x3c", "&#x3C", "&#060", "%3c", "%3C", "\\u003c", "\\x3c", "&laquo", "&lsaquo")
_OPENING_SIGNS = frozenset([*_OPENERS, *(entity[0] for entity in _ENTITIES)])
_BETWEEN = 24  # characters between the bracket and the name in which only blanks, slashes and the unseen may stand
# What is written and not seen: zero-width, soft hyphens, directions, tags, blanks of Hangul; the joiners of Persian and
# of emoji stay. The rest of the control characters is what terminals obey.
_UNSEEN = dict.fromkeys(
    [
        *range(0x09),
        *range(0x0E, 0x20),
        0x7F,
        *range(0x80, 0x85),
        *range(0x86, 0xA0),
        *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x200B, 0x200E, 0x200F, 0x3164, 0xFEFF, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE0F),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFFF9, 0xFFFC),
        *range(0x1BCA0, 0x1BCA4),
        *range(0x1D173, 0x1D17B),
        *range(0xE0000, 0xE0200),
    ]
)

# Between letters of Persian stands one, in an emoji two; more of them in a row are a text in an alphabet of its own.
_JOINERS = re.compile("[\u200c\u200d\ufe0f]{3,}")


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is kept of one turn."""

    speaker: str
    excerpt: Excerpt
    is_continued: bool = False


def render_interaction(
    interaction: Interaction, language: str, limit: int, masking: MaskingPolicy = MASK_EVERYTHING
) -> tuple[str, bool]:
    """The user message, and whether words were left out because there were more than `limit` characters of them.

    Beyond the limit the beginning and the end are kept, because that is where the wish and the outcome stand, and a
    line says what is missing.
    """
    head, tail = _cut_long_turns(read_utterance_turns(interaction), limit)
    pieces = [*head, *tail]
    is_masked = masking.covers(interaction.country, interaction.occurred_at.date())
    excerpts = [piece.excerpt for piece in pieces]
    texts = mask_text_excerpts(excerpts, interaction.country) if is_masked else list(map(_keep_text_excerpt, excerpts))
    lines = [_lay_out(piece, masked.text) for piece, masked in zip(pieces, texts, strict=True)]
    if tail:
        lines.insert(len(head), LEFT_OUT)
    opening = f'<interaction channel="{interaction.channel}" language="{language}" country="{interaction.country}">'
    return "\n".join([opening, *lines, "</interaction>"]), bool(tail)


def _keep_text_excerpt(excerpt: Excerpt) -> MaskedText:
    return MaskedText(excerpt.text[excerpt.start : excerpt.end])


def _cut_long_turns(turns: Sequence[Turn], limit: int) -> tuple[list[_Piece], list[_Piece]]:
    """All turns and nothing; or the first half of the limit and the last, where there is more."""
    said = [(turn.speaker, turn.text.strip()) for turn in turns]
    if sum(map(_measure_rendered_turn, said)) <= limit:
        return [_Piece(speaker, Excerpt.of_whole(text)) for speaker, text in said], []
    return _keep_turn_beginning(said, limit // 2), _keep_turn_end(said, limit // 2)


def _measure_rendered_turn(said: tuple[str, str]) -> int:
    speaker, text = said
    return len(speaker) + 2 + len(text)


def _keep_turn_beginning(said: Iterable[tuple[str, str]], room: int) -> list[_Piece]:
    pieces = []
    for speaker, text in said:
        room -= len(speaker) + 2
        if room <= 0:
            break
        known = text[: room + _AROUND]
        pieces.append(_Piece(speaker, Excerpt(known, 0, min(room, len(text)))))
        room -= len(text)
    return pieces


def _keep_turn_end(said: Sequence[tuple[str, str]], room: int) -> list[_Piece]:
    pieces: list[_Piece] = []
    for speaker, text in reversed(said):
        is_cut = len(speaker) + 2 + len(text) > room
        room -= len(speaker) + 2 + (len(CONTINUED) if is_cut else 0)
        if room <= 0:
            break
        known = text[-room - _AROUND :]
        pieces.append(_Piece(speaker, Excerpt(known, max(0, len(known) - room), len(known)), is_cut))
        room -= len(text)
    return pieces[::-1]


def _lay_out(piece: _Piece, text: str) -> str:
    """A turn's lines: who speaks, and all but the first indented, so that none can pass for another speaker's."""
    said = f"{CONTINUED if piece.is_continued else ''}{disarm_text(text).strip()}"
    return "\n  ".join(f"{piece.speaker}: {said}".splitlines())


def find_delimiter_tags(text: str) -> list[tuple[int, int]]:
    """Where a bracket, or what looks like one, opens a tag of ours."""
    folded = fold_text(text)
    openers = [_find_tag_opener(text, folded.starts[start]) for start, _ in _TAG_NAME.find_spans(folded.data)]
    return [opener for opener in openers if opener is not None]


def disarm_text(text: str) -> str:
    """The text without what cannot be seen, and without our tags in whatever spelling; else as it is."""
    text = _JOINERS.sub("", text.translate(_UNSEEN))
    if _OPENING_SIGNS.isdisjoint(text):
        return text
    parts, position = [], 0
    for start, end in find_delimiter_tags(text):
        if start >= position:
            parts += [text[position:start], "("]
            position = end
    return "".join([*parts, text[position:]])


def _find_tag_opener(text: str, name: int) -> tuple[int, int] | None:
    """From the first to the last bracket before a tag's name, with nothing but blanks and signs between them."""
    place, first, last = name, None, name
    while place > 0 and name - place < _BETWEEN:
        place -= 1
        if text[place] in _OPENERS:
            first, last = place, place + 1 if first is None else last
        elif text[place].isalnum() or text[place] in ";&%\\":
            break
    if first is not None:
        return first, last
    return _find_character_entity(text[max(0, name - _BETWEEN) : name], max(0, name - _BETWEEN))


def _find_character_entity(before: str, offset: int) -> tuple[int, int] | None:
    for entity in _ENTITIES:
        place = before.rfind(entity)
        rest = before[place + len(entity) :]
        if place >= 0 and not any(map(str.isalnum, rest)):
            return offset + place, offset + place + len(entity) + rest.startswith(";")
    return None
