"""Runs of seven digits and more, with what people write between them: phones, cards, customer and order numbers.

Nobody can list their spellings, so what is harmless is listed: dates, spans of years, amounts, quantities. What a
masked run is of is told by its checksum (`number_kinds.py`); whether it is masked does not depend on that.
"""

from collections.abc import Iterator

from cs_features.privacy.linear import LinearPattern
from cs_features.privacy.number_kinds import name_number_kind
from cs_features.privacy.spans import Kind, Span

MIN_DIGITS = 7
_MAX_TYPED = 64  # the libraries are asked for so many; whoever writes more numbers than that gets NUMBER

# Signs that stand between numbers in other texts count where nothing else does: "12 + 34", but 06+12+34+56.
_RUN = LinearPattern(r"[0-9](?:(?:,|[ ()./_*|\\-]{0,3}|[]~'#=+;&<>{}[^!]{1,2})[0-9]){6,}")
# Pairs of a telephone, and single digits, with whatever stands between them, a colon or a line's end, too.
_SPREAD_OUT = LinearPattern(
    r"\b0[0-9](?:(?:[^A-Za-z0-9\n]{1,5}|\n)[0-9]{2}){4}\b|\b[0-9](?:(?:[^A-Za-z0-9\n]{1,5}|\n)[0-9]\b){8,16}"
)
_DAY, _MONTH = r"(?:0?[1-9]|[12][0-9]|3[01])", r"(?:0?[1-9]|1[0-2])"


def _spell_date_forms(year: str) -> str:
    spellings = [
        *(rf"{year}{mark}{_MONTH}{mark}{_DAY}" for mark in ("-", "/", r"\.")),
        *(rf"{_DAY}{mark}{_MONTH}{mark}{year}" for mark in ("-", "/", r"\.", r"\. ", r" \. ", " - ", " / ")),
        rf"{_MONTH}/{_DAY}/{year}",
    ]
    return f"(?:{'|'.join(spellings)})"


_YEAR = r"(?:19|20)[0-9]{2}"
_DATE = _spell_date_forms(_YEAR)
# The date of somebody who may write to us: older than any contract, order or warranty that is spoken of.
_BIRTH_YEAR = r"(?:19[1-9][0-9]|200[0-9])"
_BIRTH_DATE = LinearPattern(_spell_date_forms(_BIRTH_YEAR))
_PRICE = r"[1-9][0-9]{0,3}[.,][0-9]{2}"
_CLOCK = r"[0-2]?[0-9][.][0-5][0-9]"
_HARMLESS = (
    rf"{_DATE}(?: ?[-/] ?{_DATE})?",
    rf"{_YEAR}(?: ?[-/,] ?{_YEAR})+",
    rf"{_YEAR} ?[-/] ?(?:{_YEAR}|[0-9]{{2}})",
    rf"{_PRICE} ?[-/] ?{_PRICE}",
    r"[1-9](?:[.,'][0-9]{3}){2}(?:[.,][0-9]{1,2})?",
    r"[1-9][0-9]{0,2}[ .,]?[0-9]{3}[.,][0-9]{1,2}",
    r"[1-9][0-9]{0,2}(?: [0-9]{3}){2}[.,][0-9]{2}",
    r"[1-9]0{6,8}",  # a round million
    rf"[1-9][0-9]{{0,3}}/{_YEAR}",  # a law, an invoice of a year
)
_HARMLESS_PART = LinearPattern(rf"(?:^|[ (]|, )({'|'.join(_HARMLESS)})", longest=True)
_SUM = r"[1-9][0-9]{0,2}(?:[ .,']?[0-9]{3}){0,2}(?:[.,][0-9]{1,2})?"
_AMOUNT = LinearPattern(rf"{_SUM}(?: ?- ?{_SUM})?")
_UNIT = LinearPattern(
    r" ?(?:\$|%|eur\b|euros?\b|zl\b|zlot|pln\b|usd\b|gbp\b|tl\b|km\b|m2\b|kwh\b|kg\b|gb\b|mb\b|pts\b|points?\b|punten\b"
    r"|punkt|puntos\b|steps\b|views\b|miles\b|mil\b|hrn\b|uah\b|qm\b)",
    ignore_case=True,
)
_CURRENCY_BEFORE = LinearPattern(r"(?:\$|eur|pln|usd|gbp) ?$", ignore_case=True)
_MARKS = b" ,()./_*|\\-]~'#=+;&<>{}[^!"
_ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

# What a text is searched for; the other patterns are asked where one of these stands.
SEARCHED = (_RUN, _SPREAD_OUT, _BIRTH_DATE)


def find_number_spans(data: bytes, country: str) -> Iterator[Span]:
    typed = 0
    for start, end in _RUN.find_spans(data):
        for piece_start, piece_end in _drop_harmless_numbers(data, start, end):
            first, last = _extend(data, piece_start, piece_end)
            kind = name_number_kind(data[first:last], country) if typed < _MAX_TYPED else Kind.NUMBER
            typed += 1
            yield Span(kind, first, last)
    for start, end in _SPREAD_OUT.find_spans(data):
        yield Span(Kind.NUMBER, start, end)


def find_birth_dates_by_age(data: bytes) -> Iterator[Span]:
    for start, end in _BIRTH_DATE.find_spans(data):
        if not _touches_other_digits(data, start, end):
            yield Span(Kind.BIRTH_DATE, start, end)


def _touches_other_digits(data: bytes, start: int, end: int) -> bool:
    return data[start - 1 : start].isdigit() or data[end : end + 1].isdigit()


def _drop_harmless_numbers(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """What is left of a run without dates, years and amounts, as far as it is long enough to identify."""
    if _is_money_amount(data, start, end):
        return
    run = data[start:end]
    piece = 0
    for part_start, part_end in _HARMLESS_PART.find_spans(run, 1):
        if _ends_there(run, part_end):
            yield from _keep_long_numbers(run, piece, part_start, start)
            piece = part_end
    yield from _keep_long_numbers(run, piece, len(run), start)


def _is_money_amount(data: bytes, start: int, end: int) -> bool:
    if not _AMOUNT.matches_whole(data[start:end]):
        return False
    has_currency = _CURRENCY_BEFORE.search_span(data[max(0, start - 5) : start]) is not None
    return has_currency or _UNIT.match_span(data, start=end) is not None


def _ends_there(run: bytes, end: int) -> bool:
    after = run[end : end + 2]
    return after[:1] in (b"", b" ", b")") or (after[:1] in (b".", b",") and after[1:] == b" ")


def _keep_long_numbers(run: bytes, start: int, end: int, offset: int) -> Iterator[tuple[int, int]]:
    piece = run[start:end]
    if len(piece) - len(piece.translate(None, b"0123456789")) >= MIN_DIGITS:
        last = len(piece.rstrip(_MARKS))
        yield offset + start + len(piece) - len(piece.lstrip(_MARKS)), offset + start + last


def _extend(data: bytes, start: int, end: int) -> tuple[int, int]:
    """With the letters that belong to it (DNI, VAT, codes) and the marks before it (+, opening bracket)."""
    first, last = start, end
    while first > 0 and data[first - 1] in _ALPHANUMERIC and start - first < 12:
        first -= 1
    while last < len(data) and data[last] in _ALPHANUMERIC and last - end < 12:
        last += 1
    while first > 0 and data[first - 1] in b"+(" and start - first < 14:
        first -= 1
    return first, last
