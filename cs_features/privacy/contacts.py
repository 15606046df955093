"""Mail addresses, links that let their reader in, IP addresses, tokens and logins, however they are spelled.

Not here: phones, which are numbers (`numbers.py`).
"""

from collections.abc import Iterator
from ipaddress import IPv6Address

from cs_features.privacy.linear import LinearPattern, one_of
from cs_features.privacy.spans import Kind, Span

# "jan (at) voorbeeld (punt) nl".
_DOT_WORD = one_of("dot, punt, point, punkt, punto, ponto, kropka, nokta, крапка, точка, نقطة")
_AT_WORD = one_of(
    """
    at, at sign, apenstaartje, apestaartje, arobase, arroba, małpa, małpka, chiocciola, равлик, собака, ет, klammeraffe,
    ät, آت
    """
)
_OPEN, _CLOSE = r" ?[\[({<] ?", r" ?[\])}>] ?"
_BESIDE = r"[ _*/|-]"
_DOT = rf"(?:\.|{_OPEN}(?:\.|{_DOT_WORD}){_CLOSE}|{_BESIDE}{_DOT_WORD}{_BESIDE}| \. ?)"
_WORDED_AT = rf"(?:{_OPEN}(?:@|a|{_AT_WORD}){_CLOSE}|{_BESIDE}{_AT_WORD}{_BESIDE}|%40|&#64;|&commat;)"
_AT = rf"(?: ?@{{1,2}} ?|{_WORDED_AT})"
_LABEL = r"[a-z0-9](?:[a-z0-9_-]{0,40}[a-z0-9])?"
_USER = r"[a-z0-9_%+'-]{1,40}"
_ENDS = "nl|be|fr|es|pl|de|com|net|org|eu|it|pt|uk|ua|tr"  # for a comma where the dot should be
_MAIL = LinearPattern(
    rf"(?:{_USER}(?:\.{_USER}){{0,5}}|\"[^\"\n]{{1,40}}\")@(?:(?:{_LABEL}\.){{1,5}}[a-z]{{2,20}}|{_LABEL},(?:{_ENDS})\b)",
    ignore_case=True,
)
_PROVIDERS = one_of(
    """
    gmail, googlemail, hotmail, outlook, yahoo, icloud, protonmail, proton, live, msn, ziggo, kpnmail, telenet, skynet,
    orange, wanadoo, laposte, gmx, web, onet, interia, libero
    """
)
_HALF_MAIL = LinearPattern(
    rf"{_USER}(?:(?:\.{_USER}){{0,5}}@|(?:\.{_USER}){{1,5}}{_WORDED_AT}){_PROVIDERS}\b", ignore_case=True
)
# "j a n @ m a i l . n l"
_SPACED_MAIL = LinearPattern(
    r"\b(?:[a-z0-9][ ._-]{1,3}){1,30}[a-z0-9][ ._-]{0,3}@(?:[ ._-]{0,3}[a-z0-9]\b){3,40}", ignore_case=True
)
_SPELLED_MAIL = LinearPattern(
    rf"\b{_USER}(?:{_DOT}{_USER}){{0,3}}{_AT}{_LABEL}(?:{_DOT}{_LABEL}){{0,2}}{_DOT}[a-z]{{2,6}}\b", ignore_case=True
)
_MAIL_HINT = LinearPattern(rf"@|{_WORDED_AT}", ignore_case=True)

_HOST_DOT = r"(?:\.|\[\.\]|\(\.\))"
_LINK = LinearPattern(
    rf"(?:h(?:tt|xx)ps? ?: ?/ ?/ ?|www ?{_HOST_DOT} ?)[^\s\"<>]+"
    rf"|\b[a-z0-9-]{{1,40}}(?:{_HOST_DOT}[a-z0-9-]{{1,40}}){{1,4}}/[^\s\"<>]+",
    ignore_case=True,
)
_LETS_IN = LinearPattern(r"[?#=;@]|%[0-9a-f]{2}|/[a-z0-9_~+-]{20,}", ignore_case=True)
_CODE_LENGTH = 8  # a part of a path with a digit in it, and as long as a code
# What follows a blank that somebody put into a link to hide it.
_REST_OF_LINK = LinearPattern(r"(?: ?[/?&=] ?[^\s\"<>]+){1,6}")

_IP4 = LinearPattern(
    rf"\b[0-9]{{1,3}}(?:(?: ?\. ?|{_OPEN}(?:\.|{_DOT_WORD}){_CLOSE}| {_DOT_WORD} )[0-9]{{1,3}}){{3}}\b",
    ignore_case=True,
)
_IP6 = LinearPattern(r"(?:\b[0-9a-f]{1,4}|::[0-9a-f]{1,4})(?: ?: ?[0-9a-f]{0,4}){2,7}", ignore_case=True)
_VERSION = LinearPattern(
    r"(?:version|versie|versi.n|wersja|firmware|ios|android|app|build|\bv) ?[.:]? ?$", ignore_case=True
)

# A key, a session or a device: letters and digits mixed, longer than any word or product.
_TOKEN = LinearPattern(r"\b[A-Za-z0-9_-]{16,}")
_MAC = LinearPattern(r"\b(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}\b")
_LOGIN_WORD = one_of(
    """
    username, user name, user id, login, password, passwort, passcode, gebruikersnaam, wachtwoord, mot de passe,
    nom d'utilisateur, identifiant, usuario, contraseña, contrasenya, nombre de usuario, hasło, nazwa użytkownika,
    benutzername, nome utente, palavra-passe, senha, utilizador, kullanıcı adı, kullanıcı adım, şifre, parola, пароль,
    логін, pin, pincode, cvc, cvv, كلمة السر, كلمة المرور, اسم المستخدم
    """
)
_SHORTEST_LOGIN = 3
_NO_LOGINS = frozenset(
    b"either not wrong correct incorrect invalid expired the my a this that required needed niet fout onjuist pas faux"
    b" incorrecto incorrecta caducada falsch abgelaufen nie niepoprawne zle blocked locked ...".split()
)
_IS = r"(?:is|ist|est|es|to|jest|was|è|é|هو|هي)"
# "My PIN is 5380 or 7402": whoever has forgotten one tells all.
_OR_ANOTHER = r"(?: (?:or|of|ou|o|lub|albo|oder|oppure|veya|abo) [0-9]{3,8}\b)?"
_LOGIN = LinearPattern(
    rf"\b{_LOGIN_WORD}(?: ?[:=] ?| {_IS}(?: ?: ?| ))([^\s,;]{{3,60}}{_OR_ANOTHER})", ignore_case=True
)

MACHINES_AND_SECRETS = LinearPattern.any_of([_IP4, _IP6, _TOKEN, _MAC, _LOGIN])


def find_contact_details(data: bytes) -> Iterator[Span]:
    yield from _find_mail_addresses(data)
    yield from _find_token_links(data)
    if MACHINES_AND_SECRETS.is_in(data):
        yield from _find_machine_addresses(data)
        yield from _find_secret_tokens(data)


def _find_mail_addresses(data: bytes) -> Iterator[Span]:
    if _MAIL_HINT.search_span(data) is None:
        return
    for pattern in (_MAIL, _SPELLED_MAIL, _HALF_MAIL, _SPACED_MAIL):
        for start, end in pattern.find_spans(data):
            yield Span(Kind.EMAIL, start, end)


def _find_token_links(data: bytes) -> Iterator[Span]:
    """Links with a query, a fragment or a long code: whoever opens one is taken for the customer."""
    if b"/" not in data and b"www" not in data:
        return
    for start, end in _LINK.find_spans(data):
        rest = _REST_OF_LINK.match_span(data, start=end)
        end = rest[1] if rest else end
        if _lets_in(data[start:end]):
            yield Span(Kind.URL, start, end)


def _lets_in(link: bytes) -> bool:
    host, *path = link.split(b"//", 1)[-1].split(b"/")
    if b"@" in host or (path and _LETS_IN.search_span(b"/" + b"/".join(path)) is not None):
        return True
    return any(len(part) >= _CODE_LENGTH and part.translate(None, b"0123456789") != part for part in path)


def _find_machine_addresses(data: bytes) -> Iterator[Span]:
    for start, end in _IP4.find_spans(data):
        is_version = _VERSION.search_span(data[max(0, start - 14) : start]) is not None
        if max(_read_digits(data[start:end])) <= 255 and not is_version:
            yield Span(Kind.IP, start, end)
    if data.count(b":") < 2:
        return
    position = 0
    while (found := _IP6.search_span(data, start=position)) is not None:
        start, end = found
        is_address = _is_ip6_address(data[start:end])
        if is_address:
            yield Span(Kind.IP, start, end)
        # "de: 2001:db8..." begins with what may be a part of one.
        position = end if is_address else data.index(b":", start) + 1


def _read_digits(data: bytes) -> list[int]:
    return [int(part) for part in bytes(byte if 48 <= byte <= 57 else 32 for byte in data).split()]


def _is_ip6_address(data: bytes) -> bool:
    spelled = data.replace(b" ", b"").decode("ascii")
    try:
        IPv6Address(spelled)
    except ValueError:
        return False
    return len(spelled.replace(":", "")) >= 3 and spelled.count(":") >= 3


def _find_secret_tokens(data: bytes) -> Iterator[Span]:
    for start, end in _TOKEN.find_spans(data):
        head = data[start : min(end, start + 64)]
        digits, marks = sum(48 <= byte <= 57 for byte in head), head.count(b"-") + head.count(b"_")
        if digits >= 3 and len(head) - digits - marks >= 3:
            yield Span(Kind.TOKEN, start, end)
    for start, end in _MAC.find_spans(data):
        yield Span(Kind.TOKEN, start, end)
    for start, end in _LOGIN.find_spans(data, 1):
        # "My PIN is either 1234 or 4321": what says nothing is passed over.
        value = data[start:end].rstrip(b".!?")
        if len(value) >= _SHORTEST_LOGIN and value.lower() not in _NO_LOGINS:
            yield Span(Kind.LOGIN, start, start + len(value))
