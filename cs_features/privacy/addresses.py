"""Where somebody lives: street and number, with the postcode and the town behind them, as each country writes it.

The words for a street stand in `street_words.py`.
"""

from collections.abc import Iterator

from cs_features.privacy import street_words
from cs_features.privacy.linear import LinearPattern, one_of
from cs_features.privacy.spans import Kind, Span

_WORD = r"[A-Z][A-Za-z'-]{1,30}\.?"
_PARTICLE = one_of(street_words.PARTICLES)
_PARTICLES = rf"(?:{_PARTICLE}[ '-]?){{0,3}}"
_NAME = rf"{_PARTICLES}(?:[0-9]{{1,2}} )?{_WORD}(?:[ -](?:{_PARTICLE}[ '-]?){{0,2}}{_WORD}){{0,4}}"
_DIGITS = r"[0-9]{1,4}(?:-?[A-Za-z]\b| [A-Ca-c]\b)?(?: ?(?:bis|ter)\b)?(?: ?[/-] ?[0-9A-Za-z]{1,4}\b)?"
_HOUSE = rf",? ?(?:{one_of(street_words.NUMBERS)} ?[:.]? ?)?{_DIGITS}"
_FLOOR = (
    rf"(?:,? ?{one_of(street_words.FLOORS)} ?:? ?[0-9A-Za-z]{{1,4}}\b|, ?[0-9]{{1,2}} ?[A-D]\b"
    r"|,? ?[0-9]{1,2}\.?[oa] ?(?:-? ?[0-9A-Za-z]{1,3}\b)?){0,3}"
)
_TOWN = (
    rf" (?:{_PARTICLE} ){{0,2}}[A-Z][A-Za-z'-]{{1,30}}(?:[ -](?:{_PARTICLE}[ -]){{0,2}}[A-Z][A-Za-z'-]{{1,30}}){{0,2}}"
)
_POSTCODE = (
    r"(?:[1-9][0-9]{3} ?[A-Z]{2}\b|[0-9]{2}-[0-9]{3}\b|[0-9]{4}-[0-9]{3}\b|(?:[A-Z]{1,2}-)?[0-9]{4,5}\b"
    r"|[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}\b)"
)
_IN = rf"(?:{one_of(street_words.IN)} )?"
_CITY = (
    rf"(?:,?[ \n]?{_IN}-? ?{_POSTCODE}(?:{_TOWN})?"
    rf"|(?:, ?{_IN}| {_IN}| - )[A-Z][A-Za-z'-]{{2,30}}\b(?: {_POSTCODE})?)?"
)

_CAPITALISED = r"[A-Z][A-Za-z'.-]{1,25}"
_ENDING = one_of(street_words.ENDINGS)
_DUTCH_OR_GERMAN = (
    rf"(?:{_CAPITALISED} (?:(?i:{_PARTICLE}) ){{0,2}}){{0,2}}[A-Z][A-Za-z'-]{{1,25}}{_ENDING}{_HOUSE}"
    rf"|(?:{_CAPITALISED}[ -]){{1,3}}(?i:{_ENDING}){_HOUSE}"
)
_PREFIXED = rf"(?i:{one_of(street_words.PREFIXES)}) ?{_NAME}{_HOUSE}"
_FRENCH = one_of(street_words.FRENCH)
_FRENCH_NAME = rf"(?:{_PARTICLES}[A-Za-z0-9'-]{{2,25}})(?:[ -](?:{_PARTICLE}[ '-]?){{0,2}}{_WORD}){{0,4}}"
_NUMBER_FIRST = rf"{_DIGITS},? (?i:{_FRENCH}) {_FRENCH_NAME}"
_FLAT = r"(?:(?i:flat|apt\.?|unit) ?[0-9A-Z]{1,4},? )?"
_ENGLISH = rf"{_FLAT}[0-9]{{1,5}}[A-Za-z]?,? (?:[A-Z][A-Za-z'-]{{1,20}}\.? ){{1,4}}{one_of(street_words.ENGLISH)}\b"
_TURKISH_END = one_of(street_words.TURKISH)
_TURKISH = (
    rf"(?:{_CAPITALISED} ){{1,3}}{_TURKISH_END},?(?: (?:{_CAPITALISED} ){{0,3}}{_TURKISH_END},?)?"
    r" ?(?:(?:No|Numara|Nr)\.? ?[:.]? ?)?[0-9]{1,4}(?: ?/ ?[0-9]{1,4})?"
)
_ARABIC = r"شارع [a-z]{2,20}(?: [a-z]{2,20}){0,3},? ?(?:رقم )?[0-9]{1,4}"
_STREETS = LinearPattern(
    rf"\b(?:{_DUTCH_OR_GERMAN}|{_PREFIXED}|{_NUMBER_FIRST}|{_ENGLISH}|{_TURKISH}){_FLOOR}{_CITY}|\b{_ARABIC}"
)
# In small letters, as people type: only where the word for the street is unmistakable.
_SMALL_STREETS = LinearPattern(
    rf"\b[a-z'-]{{3,25}}{one_of(street_words.SURE_ENDINGS)} ?{_DIGITS}(?:,? ?[1-9][0-9]{{3}} ?[a-z]{{2}}\b)?"
    rf"|\b[0-9]{{1,4}}(?: ?(?:bis|ter))?,? {_FRENCH} (?:(?:de|du|des|la|le|les|l'|d') ?){{1,2}}[a-z'-]{{3,25}}"
    rf"|\b{one_of(street_words.SURE_PREFIXES)} [a-z'-]{{3,25}}(?: [a-z'-]{{3,25}}){{0,2}}{_HOUSE}\b",
    ignore_case=True,
)
_DUTCH_POSTCODE = LinearPattern(rf"\b([1-9][0-9]{{3}} ?[A-Z]{{2}}\b)(?:{_TOWN})?")
_POSTCODE_WORD = LinearPattern(
    rf"\b{one_of(street_words.POSTCODES)}(?: (?:is|ist|es|est|to|e))? ?:? ?"
    r"([0-9]{2}-[0-9]{3}|[0-9]{4,5}(?: ?[a-z]{2}\b)?|[a-z]{1,2}[0-9][a-z0-9]? ?[0-9][a-z]{2})",
    ignore_case=True,
)
_UNITS = frozenset(b"EU AM PM KM GB MB TB KG CM MM ML PK TV PC IT OK TL ZL MG EN OF DE IN OP".split())

SEARCHED = (_STREETS, _SMALL_STREETS, _POSTCODE_WORD, _DUTCH_POSTCODE)


def find_postal_addresses(data: bytes) -> Iterator[Span]:
    for pattern in (_STREETS, _SMALL_STREETS):
        for start, end in pattern.find_spans(data):
            yield Span(Kind.ADDRESS, start, end)
    for start, end in _POSTCODE_WORD.find_spans(data, 1):
        yield Span(Kind.ADDRESS, start, end)
    for start, end in _DUTCH_POSTCODE.find_spans(data):
        if _is_country_postcode(data[start : start + 7]):
            yield Span(Kind.ADDRESS, start, end)


def _is_country_postcode(code: bytes) -> bool:
    """No amount with a unit, and no year before an abbreviation: those stand apart, as a postcode may."""
    letters = code[4:].strip()[:2]
    is_year = code[:2] in (b"19", b"20") and code[4:5] == b" "
    return letters not in _UNITS and not is_year
