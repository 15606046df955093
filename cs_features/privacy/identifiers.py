"""Accounts and papers whose numbers have letters: DNI and NIE, NIR of Corsica, VAT, passports, plates.

Papers of digits alone are numbers (`numbers.py`); IBANs stand in `ibans.py`.
"""

from collections.abc import Iterator

from cs_features.privacy.linear import LinearPattern, one_of
from cs_features.privacy.spans import Kind, Span

_GAP = r"[ ._/:*|-]{0,3}"
_DNI = LinearPattern(
    rf"\b(?:[xyz]{_GAP}[0-9](?:{_GAP}[0-9]){{6}}|[0-9](?:{_GAP}[0-9]){{7}}){_GAP}[a-z]\b", ignore_case=True
)
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_DNI_DIGITS = str.maketrans("XYZ", "012")
_NIR_OF_CORSICA = LinearPattern(rf"\b[12](?:{_GAP}[0-9]){{4}}{_GAP}2{_GAP}[ab](?:{_GAP}[0-9]){{8}}\b", ignore_case=True)
_VAT = LinearPattern(
    r"\b(?:NL|BE|FR|ES|PL|DE|IT|PT)[ .-]?[A-Z]{0,2}[ .-]?[0-9](?:[ ./_-]{0,3}[0-9]){6,10}"
    r"(?:[ .-]?[BO0][ .-]?[0-9]{2}|[ -]?[A-Z])?\b"
)

# Without a word beside them only in capitals and in a shape that a country's passports have.
_PASSPORT = LinearPattern(
    r"\b(?:[A-Z]{2,3}[ -]?[0-9]{3}[ -]?[0-9]{3,4}|[0-9]{2}[ -]?[A-Z]{2}[ -]?[0-9]{5}|[A-Z]{2}[A-Z0-9]{6}[0-9]"
    r"|[CFGHJK][CFGHJKLMNPRTVWXYZ0-9]{8})\b"
)
_SPACED_OUT = LinearPattern(r"\b[A-Z0-9](?: [A-Z0-9]){7,8}\b")
_PASSPORT_WORD = LinearPattern(
    r"\b"
    + one_of(
        r"""
        passport, paspoort\w*, passeport, pasaporte, paszport\w*, reisepass\w*, passaporte, passaporto, passaport,
        pasaport\w*, паспорт\w*, جواز, identity card, identity document, id card, id-card, id kaart, id-kaart, idkaart,
        identiteitskaart, identiteitsbewijs, carte d'identité, pièce d'identité, cni, documento, documento de
        identidad, dowód, dowód osobisty, dowodu osobistego, dowodu, personalausweis\w*, ausweis\w*, carta d'identità,
        kimlik, driving licence, driving license, rijbewijs\w*, permis de conduire, prawo jazdy, führerschein
        """
    )
    + r"\b",
    ignore_case=True,
)
_PAPER = LinearPattern(
    r"\b[a-z]{0,3}(?:[ .-]{0,2}[0-9]){2,10}(?:[ .-]{0,2}[a-z]{1,2}\b)?(?:[ .-]{0,2}[0-9]){0,6}\b|\b[a-z0-9]{6,14}\b",
    ignore_case=True,
    longest=True,
)
_BESIDE = 48  # characters behind the word in which the number stands

_PLATE_WORD = LinearPattern(
    r"\b"
    + one_of(
        r"""
        kenteken\w*, nummerplaat, plaque, plaque d'immatriculation, immatricul\w*, matrícula, matricula, placa,
        rejestrac\w*, nr rej., tablic\w*, kennzeichen, nummernschild, licence plate, license plate, number plate, plate
        number, plaka\w*, targa, номерний знак, номер авто, لوحة
        """
    )
    + r"(?:\b| )",
    ignore_case=True,
)
_PLATE_TOKEN = LinearPattern(
    r"\b(?:[A-Z0-9]{1,4}(?:[ .-]?[A-Z0-9]{1,5}){1,2}|[a-z]{1,3}[ -]?[0-9]{2,4}[ -]?[a-z]{1,3}"
    r"|[0-9]{1,4}[ -]?[a-z]{3})\b"
)
_PLATE = LinearPattern(
    r"\b(?:[A-Z]{2}-[0-9]{2}-[A-Z]{2}|[A-Z]{2}-[A-Z]{2}-[0-9]{2}|[0-9]{2}-[A-Z]{2}-[A-Z]{2}"
    r"|[A-Z]{2}-[0-9]{2}-[0-9]{2}|[0-9]{2}-[0-9]{2}-[A-Z]{2}|[0-9]{2}-[A-Z]{2}-[0-9]{2}|[0-9]{2}-[A-Z]{3}-[0-9]"
    r"|[0-9]-[A-Z]{3}-[0-9]{2}|[A-Z]{2}-[0-9]{3}-[A-Z]|[A-Z]-[0-9]{3}-[A-Z]{2}|[A-Z]{3}-[0-9]{2}-[A-Z]"
    r"|[A-Z]-[0-9]{2}-[A-Z]{3}|[1-9]-[A-Z]{3}-[0-9]{3}|[A-Z]{2}-[0-9]{3}-[A-Z]{2})\b"
)
_SHORTEST_PLATE = 4  # digits, where it has no letter
_SPANISH_PLATE = LinearPattern(r"\b[0-9]{4}[ -]?[BCDFGHJKLMNPRSTVWXYZ]{3}\b")

# What a text is searched for; the other patterns are asked where one of these stands.
SEARCHED = (
    *(_DNI, _NIR_OF_CORSICA, _VAT),
    *(_PASSPORT, _SPACED_OUT, _PASSPORT_WORD),
    *(_PLATE, _SPANISH_PLATE, _PLATE_WORD),
)


def find_identifier_spans(data: bytes) -> Iterator[Span]:
    for start, end in _DNI.find_spans(data):
        if _is_spanish_dni(data[start:end]):
            yield Span(Kind.NATIONAL_ID, start, end)
    for pattern in (_NIR_OF_CORSICA, _VAT):
        for start, end in pattern.find_spans(data):
            yield Span(Kind.NATIONAL_ID, start, end)
    yield from _find_passport_numbers(data)
    yield from _find_licence_plates(data)


def _is_spanish_dni(data: bytes) -> bool:
    compact = data.translate(None, b" ._/:*|-").decode("ascii").upper()
    digits = compact[:-1].translate(_DNI_DIGITS)
    # A wrong letter is a slip of the pen where nothing stands between it and the number.
    return _DNI_LETTERS[int(digits) % 23] == compact[-1] or (data[-2:-1].isdigit() and data[-1:].isupper())


def _find_passport_numbers(data: bytes) -> Iterator[Span]:
    for start, end in _PASSPORT.find_spans(data):
        if _count_digits(data[start:end]) >= 3:
            yield Span(Kind.PASSPORT, start, end)
    for start, end in _SPACED_OUT.find_spans(data):
        if _count_digits(data[start:end]) >= 4:
            yield Span(Kind.PASSPORT, start, end)
    yield from _find_beside(data, _PASSPORT_WORD, _PAPER, Kind.PASSPORT, 4)


def _find_licence_plates(data: bytes) -> Iterator[Span]:
    for start, end in _PLATE.find_spans(data):
        yield Span(Kind.PLATE, start, end)
    for start, end in _SPANISH_PLATE.find_spans(data):
        if data[start : start + 2] not in (b"19", b"20"):
            yield Span(Kind.PLATE, start, end)
    for span in _find_beside(data, _PLATE_WORD, _PLATE_TOKEN, Kind.PLATE, 2):
        # "Goście płacą o 42 proc. mniej": without letters a plate has more digits than that.
        value = data[span.start : span.end]
        if not value.isdigit() or len(value) >= _SHORTEST_PLATE:
            yield span


def _find_beside(data: bytes, word: LinearPattern, value: LinearPattern, kind: Kind, digits: int) -> Iterator[Span]:
    """The first value behind a word that says what it is."""
    for _, end in word.find_spans(data):
        for first, last in value.find_spans(data, start=end, end=min(len(data), end + _BESIDE)):
            if _count_digits(data[first:last]) >= digits:
                yield Span(kind, first, last)
                break


def _count_digits(data: bytes) -> int:
    return len(data) - len(data.translate(None, b"0123456789"))
