"""Names of people where the text says that one comes: after an introduction, a title, a label, a greeting, under a
closing, in answer to the question for it; and the same name again wherever it stands.

A bare name is a word like others, and no pattern tells it. The words stand in `name_words.py`.
"""

from collections.abc import Collection, Iterator

from cs_features.privacy import name_words
from cs_features.privacy.folding import FOLDED_TURN_END
from cs_features.privacy.linear import LinearPattern, one_of, split_words
from cs_features.privacy.spans import Kind, Span

_PARTICLES = one_of(
    "van, von, de, der, den, la, del, della, di, da, dos, do, du, des, le, el, al, bin, ibn, ter, ten, 't, d'"
)
_PARTICLE = rf"(?:{_PARTICLES} ?){{1,3}}"
_WORD = r"(?:[A-Z]'|[A-Z][a-z]'|Mc|Mac|Al-|El-)?[A-Z][A-Za-z]{1,24}(?:['-][A-Za-z]{2,24}){0,2}"
_INITIALS = r"(?:[A-Z]\. ?){1,4}"
_NAME = LinearPattern(
    rf"(?:{_INITIALS}(?:{_PARTICLE})?{_WORD}|(?:{_PARTICLE})?{_WORD})"
    rf"(?: (?:{_PARTICLE}|{_INITIALS}|[yi] )?{_WORD}){{0,4}}(?: [A-Z]\b\.?)?"
)
# In small letters, where what stands before leaves no doubt: two words, and those that belong between them.
_SMALL_NAME = LinearPattern(rf"[A-Za-z][A-Za-z'-]{{1,24}}(?: (?:{_PARTICLE})?[A-Za-z][A-Za-z'-]{{1,24}}){{0,2}}")

_INTRODUCTION = LinearPattern(rf"\b{one_of(name_words.INTRODUCTIONS)}(?: ?:| ?,| is\b)? ", ignore_case=True)
_LABEL = LinearPattern(rf"\b{one_of(name_words.LABELS)} ?[:=] ?", ignore_case=True)
_WEAK = LinearPattern(rf"(?:^|[^A-Za-z']){one_of(name_words.WEAK_INTRODUCTIONS)} ", ignore_case=True)
_TITLE = LinearPattern(rf"(?:^|[^A-Za-z'.])(?:{one_of(name_words.TITLES)} {{1,2}}){{1,3}}", ignore_case=True)
_TURKISH_TITLE = LinearPattern(rf"\b({_WORD}(?: {_WORD}){{0,2}}) (?:Bey|Hanım|Beyefendi|Hanımefendi)\b")
_CLOSING = LinearPattern(
    rf"(?:^|[\n.!?,;] {{0,3}}){one_of(name_words.CLOSINGS)}[ ,.!:-]{{0,3}}\n? {{0,8}}\n? {{0,8}}", ignore_case=True
)
_GREETING = LinearPattern(rf"(?:^|[\n.!?] {{0,3}}){one_of(name_words.GREETINGS)},? ", ignore_case=True)
_QUESTION = LinearPattern(one_of(name_words.QUESTIONS), ignore_case=True)
ANNOUNCED = LinearPattern.any_of([_INTRODUCTION, _LABEL, _WEAK, _TITLE, _TURKISH_TITLE, _CLOSING, _GREETING, _QUESTION])
_NO_NAMES = frozenset(word.lower().encode("ascii") for word in split_words(name_words.NO_NAMES))

_NEVER_NAMES = _NO_NAMES - {word.encode("ascii") for word in split_words(name_words.ALSO_NAMES)}

_CAPITAL_PARTICLES = frozenset(b"de la el le du di da van von der den al der los las dos".split())

_MAX_REPEATED = 24  # names that are looked for again
_MAX_QUESTION = 200  # characters between the question and the end of its turn
_MAX_ANSWER = 60  # characters of a turn that answers the question for a name


def find_names(data: bytes) -> Iterator[Span]:
    if not ANNOUNCED.is_in(data):
        return
    found = [*_find_introduced_names(data), *_find_answered_names(data)]
    yield from found
    yield from _find_name_again(data, found)


def _find_answered_names(data: bytes) -> Iterator[Span]:
    """Short turns behind one that asks for a name."""
    for _, end in _QUESTION.find_spans(data):
        before = data.find(FOLDED_TURN_END, end, end + _MAX_QUESTION)
        if before >= 0:
            start = before + len(FOLDED_TURN_END)
            stop = data.find(FOLDED_TURN_END, start, start + _MAX_ANSWER)
            if stop >= 0 or len(data) - start <= _MAX_ANSWER:
                yield from _take_name_words(data, start, small=True, no_names=_NEVER_NAMES)


def _find_introduced_names(data: bytes) -> Iterator[Span]:
    for _, end in _INTRODUCTION.find_spans(data):
        yield from _take_name_words(data, end, small=True, no_names=_NEVER_NAMES)
    for _, end in _LABEL.find_spans(data):
        yield from _take_name_words(data, end, no_names=_NEVER_NAMES)
    for _, end in _TITLE.find_spans(data):
        yield from _take_name_words(data, end)
    for _, end in _WEAK.find_spans(data):
        yield from _take_name_words(data, end, sure=False)
    for start, end in _TURKISH_TITLE.find_spans(data, 1):
        yield Span(Kind.NAME, start, end)
    for _, end in _CLOSING.find_spans(data):
        yield from _take_whole_name(data, end, b"\n")
    for _, end in _GREETING.find_spans(data):
        yield from _take_whole_name(data, end, b"\n,.!?;:-")


def _take_name_words(
    data: bytes, start: int, *, small: bool = False, sure: bool = True, no_names: Collection[bytes] = _NO_NAMES
) -> list[Span]:
    """The name that begins at `start`; none where the words there name nobody."""
    found = _NAME.match_span(data, start=start, end=min(len(data), start + 120))
    if found is None:
        return _take_small_name(data, start) if small else []
    first, last = _trim(data, *found, no_names)
    is_sure = sure or b" " in data[first:last] or _ends_sentence_clause(data, last)
    return [Span(Kind.NAME, first, last)] if last > first and is_sure else []


def _take_small_name(data: bytes, start: int) -> list[Span]:
    found = _SMALL_NAME.match_span(data, start=start, end=min(len(data), start + 80))
    if found is None:
        return []
    last = start
    for word in data[start : found[1]].split(b" "):
        if word.lower() in _NO_NAMES:
            break
        last += len(word) + 1
    return [Span(Kind.NAME, start, last - 1)] if last > start else []


def _take_whole_name(data: bytes, start: int, ends: bytes) -> list[Span]:
    """The name that begins at `start` where nothing stands behind it: "Dear Ms Smith," and not "Thanks Amazon took"."""
    # Nothing stands behind the end of a text, and nothing is in any bytes.
    return [span for span in _take_name_words(data, start) if data[span.end : span.end + 1] in ends]


def _trim(data: bytes, start: int, end: int, no_names: Collection[bytes]) -> tuple[int, int]:
    """Without the words at either end that name nobody."""
    if b" " not in data[start:end]:
        word = data[start:end].rstrip(b".")
        is_name = word.strip(b"'-").lower() not in no_names
        return start, start + len(word) * is_name
    while start < end:
        word = data[start:end].split(b" ", 1)[0]
        plain = word.strip(b".'-").lower()
        if plain not in no_names or (plain in _CAPITAL_PARTICLES and start + len(word) < end):
            break
        start += len(word) + 1
    last = start
    for word in data[start:end].split(b" "):
        plain = word.strip(b".'-").lower()
        if word[:1].isupper() and plain in no_names and plain not in _CAPITAL_PARTICLES:
            break
        last += len(word) + 1
    return start, start + len(data[start : min(last, end)].rstrip(b" ."))


def _ends_sentence_clause(data: bytes, end: int) -> bool:
    return data[end : end + 1] in (b"", b".", b",", b"!", b"\n", b";", b")", b"?") or data[end : end + 2] == b" ."


def _find_name_again(data: bytes, found: list[Span]) -> Iterator[Span]:
    """Where a name that was introduced stands again, alone or in part."""
    words = {
        word for span in found for word in data[span.start : span.end].replace(b".", b" ").split() if len(word) > 2
    }
    known = sorted(word for word in words if word[:1].isupper() and word.lower() not in _NO_NAMES)[:_MAX_REPEATED]
    taken = {span.start for span in found}
    for word in known:
        yield from (span for span in _find_word(data, word) if span.start not in taken)


def _find_word(data: bytes, word: bytes) -> Iterator[Span]:
    start = data.find(word)
    while start >= 0:
        end = start + len(word)
        if not data[start - 1 : start].isalnum() and not data[end : end + 1].isalnum():
            yield Span(Kind.NAME, start, end)
        start = data.find(word, end)
