"""IBANs, by their country's length and their checksum; by their shape where a digit is wrong."""

from collections.abc import Iterator

from cs_features.privacy.linear import LinearPattern
from cs_features.privacy.spans import Kind, Span

# How long an IBAN is, by country: the SWIFT registry, Europe and its neighbours.
_LENGTH_OF = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "BA": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22,
    "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "RS": 22, "SA": 24,
    "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "XK": 20,
}  # fmt: skip
_LENGTHS = {code.encode("ascii"): length for code, length in _LENGTH_OF.items()}
_MARKS, _LETTERS = b" ._/:*|-", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUES = {character: str(int(character, 36)) for character in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_GAP = r"[ ._/:*|-]{0,3}"
_COUNTRY = "|".join(f"{code[0]}{_GAP}{code[1]}" for code in _LENGTH_OF)
_IBAN = LinearPattern(rf"\b(?:{_COUNTRY}){_GAP}[0-9]{_GAP}[0-9](?:{_GAP}[a-z0-9]){{10,30}}", ignore_case=True)

SEARCHED = (_IBAN,)


def find_iban_spans(data: bytes) -> Iterator[Span]:
    position = 0
    while (found := _IBAN.search_span(data, start=position)) is not None:
        start, end = found
        length = _measure_iban_length(data[start:end])
        if length:
            yield Span(Kind.IBAN, start, start + length)
        # "is 24 NL91..." begins like an Icelandic one: the true one may stand in what was passed over.
        position = start + (length or 2)


def _measure_iban_length(data: bytes) -> int:
    """How many characters of `data` are an IBAN; 0 where none is."""
    compact = data.translate(None, _MARKS).upper()
    length = _LENGTHS[compact[:2]]
    account = compact[:length]
    if len(account) < length:
        return 0
    looks_like_one = len(account.translate(None, _LETTERS)) >= length - 8 and account[-4:].isdigit()
    # Of words with a number in them one in a hundred has the checksum.
    has_digits = len(account.translate(None, _LETTERS)) >= length // 3
    if not looks_like_one and not (has_digits and _has_valid_check(account.decode("ascii"))):
        return 0
    places = [place for place, byte in enumerate(data) if byte not in _MARKS]
    return places[length - 1] + 1


def _has_valid_check(account: str) -> bool:
    return int("".join(map(_VALUES.__getitem__, account[4:] + account[:4]))) % 97 == 1
