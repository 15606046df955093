"""What a run of digits is a number of, by its checksum and its country's numbering plan.

It gives a placeholder its word and decides nothing else: what is masked is decided in `numbers.py`.
"""

from collections.abc import Callable
from functools import lru_cache

from cs_features.privacy.spans import Kind

_REGIONS = ("NL", "BE", "FR", "ES", "PL", "DE", "GB")
_LONGEST = 60  # characters; no number of anybody has more, and a library may fail on thousands of digits


def name_number_kind(data: bytes, country: str) -> Kind:
    """The kind of a number as it is written, letters and marks included."""
    return _name_compact(_compact(data), country) if len(data) <= _LONGEST else Kind.NUMBER


def _compact(data: bytes) -> str:
    text = data.decode("ascii")
    plus = "+" if text.startswith(("+", "(+")) else ""
    return plus + "".join(filter(str.isalnum, text)).upper()


@lru_cache(maxsize=4096)
def _name_compact(compact: str, country: str) -> Kind:
    digits = compact.lstrip("+")
    if compact.startswith("+") and _is_phone_number(compact, country):
        return Kind.PHONE
    if digits.isdigit() and 13 <= len(digits) <= 19 and _is_payment_card(digits):
        return Kind.CARD
    own = _list_checks(country)
    if any(is_valid(digits) for is_valid in own):
        return Kind.NATIONAL_ID
    if _is_phone_number(compact, country):
        return Kind.PHONE
    if any(is_valid(digits) for is_valid in _list_checks("")):
        return Kind.NATIONAL_ID
    return Kind.NUMBER


def _is_payment_card(digits: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(digits))


@lru_cache(maxsize=16)
def _list_checks(country: str) -> tuple[Callable[[str], bool], ...]:
    """Of a country, or of all where none is given. Loaded when the first number is met."""
    from stdnum.be import nn as be_nn
    from stdnum.es import dni, nie
    from stdnum.fr import nir
    from stdnum.nl import bsn
    from stdnum.pl import pesel

    checks: dict[str, tuple[Callable[[str], bool], ...]] = {
        "NL": (bsn.is_valid,),
        "BE": (be_nn.is_valid,),
        "FR": (nir.is_valid,),
        "ES": (dni.is_valid, nie.is_valid),
        "PL": (pesel.is_valid,),
    }
    if country:
        return checks.get(country, ())
    return tuple(check for group in checks.values() for check in group)


def _is_phone_number(compact: str, country: str) -> bool:
    import phonenumbers

    if not 7 <= len(compact) <= 17 or not compact.lstrip("+").isdigit():
        return False
    regions = (country,) if country in _REGIONS else _REGIONS
    for region in regions:
        try:
            if phonenumbers.is_possible_number(phonenumbers.parse(compact, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False
