"""Values that identify somebody, made up: by kind and country, plain and as people spell them to get past a filter.

Every number has the checksum of its kind; nobody's is meant. Not here: the sentences they stand in
(`planted_sentences.py`), and what is counted (`privacy.py`).
"""

import random
from collections.abc import Callable

COUNTRIES = ("NL", "BE", "FR", "ES", "PL")
# What the bars call checksum kinds.
CHECKSUM_KINDS = ("iban", "card", "national_id")


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("0123456789", k=count))


def make_national_id(rng: random.Random, country: str) -> str:
    makers = {"NL": _make_bsn, "BE": _make_niss, "FR": _make_nir, "ES": _make_dni, "PL": _make_pesel}
    return makers[country](rng)


def _make_bsn(rng: random.Random) -> str:
    while True:
        body = _digits(rng, 8)
        check = sum(int(digit) * weight for digit, weight in zip(body, range(9, 1, -1), strict=True)) % 11
        if check < 10 and body[0] != "0":
            return body + str(check)


def _make_niss(rng: random.Random) -> str:
    body = f"{rng.randint(40, 99)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}{rng.randint(1, 997):03d}"
    number = f"{body}{97 - int(body) % 97:02d}"
    return rng.choice([number, f"{number[:2]}.{number[2:4]}.{number[4:6]}-{number[6:9]}.{number[9:]}"])


def _make_nir(rng: random.Random) -> str:
    department = rng.choice(["75", "13", "69", "2A", "2B"])
    body = f"{rng.choice('12')}{rng.randint(40, 99)}{rng.randint(1, 12):02d}{department}{_digits(rng, 6)}"
    value = int(body.replace("2A", "19").replace("2B", "18"))
    number = f"{body}{97 - value % 97:02d}"
    spaced = " ".join((number[0], number[1:3], number[3:5], number[5:7], number[7:10], number[10:13], number[13:]))
    return rng.choice([number, spaced])


def _make_dni(rng: random.Random) -> str:
    letters = "TRWAGMYFPDXBNJZSQVHLCKE"
    if rng.random() < 0.5:
        number = _digits(rng, 8)
        return number + letters[int(number) % 23]
    first, rest = rng.choice("XYZ"), _digits(rng, 7)
    return f"{first}{rest}{letters[int(str('XYZ'.index(first)) + rest) % 23]}"


def _make_pesel(rng: random.Random) -> str:
    body = f"{rng.randint(40, 99)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}{_digits(rng, 4)}"
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)
    return body + str(-sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 10)


_IBAN_BODIES = {"NL": ("ABNA", 10), "BE": ("", 12), "FR": ("", 23), "ES": ("", 20), "PL": ("", 24)}


def make_iban(rng: random.Random, country: str) -> str:
    bank, count = _IBAN_BODIES[country]
    body = bank + _digits(rng, count)
    spelled = "".join(str(int(character, 36)) for character in f"{body}{country}00")
    number = f"{country}{98 - int(spelled) % 97:02d}{body}"
    return rng.choice([number, " ".join(number[start : start + 4] for start in range(0, len(number), 4))])


def make_card(rng: random.Random, country: str) -> str:
    body = rng.choice(["4", "51", "52"])
    body += _digits(rng, 15 - len(body))
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(body)]
    number = body + str(-sum(value - 9 if value > 9 else value for value in doubled) % 10)
    return rng.choice([number, " ".join(number[start : start + 4] for start in range(0, 16, 4))])


_PHONES = {
    "NL": ("06-########", "06 ## ## ## ##", "+31 6 ########", "020 ### ####", "(020) 123####", "+31(0)6########"),
    "BE": ("0471/##.##.##", "0471 ## ## ##", "+32 471 ## ## ##", "02/### ## ##", "+32471######"),
    "FR": ("06 ## ## ## ##", "06.##.##.##.##", "+33 6 ## ## ## ##", "01########", "0033 1 ## ## ## ##"),
    "ES": ("6## ### ###", "6########", "+34 6## ## ## ##", "91 ### ## ##", "6##-###-###"),
    "PL": ("6## ### ###", "6##-###-###", "+48 6## ### ###", "22 ### ## ##", "48 6########"),
}


def make_phone(rng: random.Random, country: str) -> str:
    return "".join(_digits(rng, 1) if mark == "#" else mark for mark in rng.choice(_PHONES[country]))


_USERS = ("jan.devries", "a_kowalska", "m.lopez99", "sophie-martin", "info.peeters", "k.yilmaz", "o.shevchenko")
_HOSTS = ("voorbeeld.nl", "exemple.fr", "correo.es", "poczta.pl", "mail.example.com", "skynet.be", "firma.co.uk")


def make_mail(rng: random.Random, country: str) -> str:
    return f"{rng.choice(_USERS)}{rng.choice(['', _digits(rng, 2), '+shop'])}@{rng.choice(_HOSTS)}"


def make_ip(rng: random.Random, country: str) -> str:
    if rng.random() < 0.25:
        return "2001:db8:" + ":".join(f"{rng.randint(1, 65535):x}" for _ in range(6))
    return ".".join(str(rng.randint(1, 255)) for _ in range(4))


def make_link(rng: random.Random, country: str) -> str:
    token = "".join(rng.choices("abcdefghijkmnpqrstuvwxyz23456789", k=12))
    paths = (f"reset?token={token}", f"r/{token}7a", f"account/login?u=4711&s={token}", f"track#{token}")
    return f"https://www.{rng.choice(_HOSTS)}/{rng.choice(paths)}"


_PASSPORTS = {"NL": "LL#####L#", "BE": "LL######", "FR": "##LL#####", "ES": "LLL######", "PL": "LL#######"}
_PASSPORT_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def _fill(rng: random.Random, pattern: str, letters: str) -> str:
    marks = {"#": "0123456789", "L": letters}
    return "".join(rng.choice(marks[mark]) if mark in marks else mark for mark in pattern)


def make_passport(rng: random.Random, country: str) -> str:
    return _fill(rng, _PASSPORTS[country], _PASSPORT_LETTERS)


_PLATES = {"NL": "LL-###-L", "BE": "1-LLL-###", "FR": "LL-###-LL", "ES": "#### LLL", "PL": "WA #####"}


def make_plate(rng: random.Random, country: str) -> str:
    return _fill(rng, _PLATES[country], "BCDFGHJKLMNPRSTVWXZ").replace("19", "37").replace("20", "47")


MAKERS: dict[str, Callable[[random.Random, str], str]] = {
    "iban": make_iban,
    "card": make_card,
    "national_id": make_national_id,
    "mail": make_mail,
    "phone": make_phone,
    "ip": make_ip,
    "link": make_link,
    "passport": make_passport,
    "plate": make_plate,
}


def _put_between(mark: str) -> Callable[[random.Random, str], str]:
    def put(rng: random.Random, value: str) -> str:
        return mark.join(value)

    return put


def _replace_spaces(rng: random.Random, value: str) -> str:
    mark = rng.choice(["\u00a0", "\u2009", "\u202f", "\u2013", "\u2011", ".", "_", "  "])
    groups = value.replace("-", " ").replace(".", " ").replace("/", " ").split()
    if len(groups) == 1:
        groups = [value[start : start + 3] for start in range(0, len(value), 3)]
    return mark.join(groups)


def _use_full_width(rng: random.Random, value: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in value)


def _use_other_digits(rng: random.Random, value: str) -> str:
    zero = rng.choice([0x0660, 0x06F0, 0x0966, 0x1D7CE])
    return "".join(chr(zero + int(character)) if "0" <= character <= "9" else character for character in value)


def _hide_in_words(rng: random.Random, value: str) -> str:
    at, dot = rng.choice([("(at)", "(dot)"), ("[at]", "[dot]"), (" at ", " dot "), (" (apenstaartje) ", " (punt) ")])
    user, _, host = value.partition("@")
    return f"{user}{at}{host.replace('.', dot)}"


def _space_at(rng: random.Random, value: str) -> str:
    return value.replace("@", rng.choice([" @ ", "\u200b@", "\uff20", " \uff20 "]))


def _defang(rng: random.Random, value: str) -> str:
    return value.replace("http", rng.choice(["hxxp", "http", "HTTP"])).replace(".", rng.choice(["[.]", ".", "(.)"]))


def _bracket_dots(rng: random.Random, value: str) -> str:
    if ":" in value:
        return value.upper()
    return value.replace(".", rng.choice(["[.]", " . ", "(dot)", "\u3002", "\uff0e"]))


_UNSEEN = [_put_between(mark) for mark in ("\u200b", "\u00ad", "\u2060", "\ufeff")]
_OF_NUMBERS = [*_UNSEEN, _replace_spaces, _use_full_width, _use_other_digits]
EVASIONS: dict[str, list[Callable[[random.Random, str], str]]] = {
    **dict.fromkeys(("iban", "card", "national_id", "phone"), _OF_NUMBERS),
    "mail": [*_UNSEEN, _use_full_width, _hide_in_words, _space_at],
    "ip": [*_UNSEEN, _use_full_width, _bracket_dots],
    "link": [*_UNSEEN, _use_full_width, _defang],
    "passport": [*_UNSEEN, _use_full_width, _put_between(" ")],
}
