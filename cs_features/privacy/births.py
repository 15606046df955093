"""Dates of birth: by the words before them, or by an age that no order has. Dates of digits alone: `numbers.py`."""

from collections.abc import Iterator

from cs_features.privacy.linear import LinearPattern, one_of
from cs_features.privacy.spans import Kind, Span

_WORDS = one_of(
    """
    born, born on, date of birth, birthdate, birth date, birthday, dob, d.o.b., geboren, geboren op, geboren am,
    geboortedatum, geb., geburtsdatum, geburtstag, verjaardag, né le, née le, né, née, date de naissance, naissance,
    nacido el, nacida el, nací el, nací, fecha de nacimiento, nacimiento, data de naixement, nascut el, nascuda el,
    vaig néixer, urodzony, urodzona, urodziłem się, urodziłam się, data urodzenia, ur., nato il, nata il, nato, nata,
    data di nascita, nascido em, nascida em, nasci em, nasci a, data de nascimento, doğum tarihi, doğum tarihim,
    doğumluyum, doğdum, дата народження, народилася, народився, дата рождения, تاريخ الميلاد, تاريخ ميلادي, مواليد,
    ولدت في, ولدت
    """
)
_MONTHS = one_of(
    r"""
    jan\w*, feb\w*, fev\w*, fév\w*, mar\w*, maart, mrt, mär\w*, apr\w*, avr\w*, abr\w*, may\w*, mei, mai\w*, maj\w*,
    jun\w*, juin\w*, jul\w*, juil\w*, aug\w*, aou\w*, ago\w*, sep\w*, set\w*, ene\w*, okt\w*, oct\w*, out\w*, nov\w*,
    dec\w*, dic\w*, dez\w*, sty\w*, lut\w*, kwi\w*, cze\w*, lip\w*, sie\w*, wrz\w*, paź\w*, lis\w*, gru\w*, gen\w*,
    mag\w*, giu\w*, lug\w*, ott\w*, déc\w*, ocak, şubat, nisan, mayıs, haziran, temmuz, ağustos, eylül, ekim, kasım,
    aralık, січня, лютого, березня, квітня, травня, червня, липня, серпня, вересня, жовтня, листопада, грудня, يناير,
    فبراير, مارس, أبريل, ابريل, مايو, يونيو, يوليو, أغسطس, سبتمبر, أكتوبر, نوفمبر, ديسمبر
    """
)
_OLD_YEAR = r"(?:19[1-9][0-9]|200[0-9])"
_YEAR = r"(?:19[0-9]{2}|20[0-2][0-9]|'?[0-9]{2}\b)"
_DAY = r"[0-3]?[0-9](?:st|nd|rd|th|er|e|\.)?"
_OF = r"(?:de |d'|del |of |den )?"
_NUMERIC = r"[0-9]{1,4} ?[-./ ] ?[0-9]{1,2} ?[-./ ] ?[0-9]{2,4}|[0-9]{6,8}"
_BY_WORD = LinearPattern(
    rf"\b{_WORDS}[^a-z0-9\n][^0-9\n]{{0,20}}?"
    rf"((?:{_NUMERIC}|{_DAY} ?{_OF}{_MONTHS}[.,]? {_OF}{_YEAR}|{_MONTHS} {_DAY},? {_YEAR}))",
    ignore_case=True,
)
_BY_AGE = LinearPattern(
    rf"\b(?:{_DAY} {_OF}{_MONTHS}[.,]? {_OF}{_OLD_YEAR}|{_MONTHS} {_DAY},? {_OLD_YEAR})\b", ignore_case=True
)
_YEAR_BY_WORD = LinearPattern(
    rf"\b{_WORDS} ?:? ?(?:in|en|w|nel|em|im jahr|u) (?:the year |year |jaar |roku |año )?({_OLD_YEAR})\b",
    ignore_case=True,
)

SEARCHED = (_BY_WORD, _BY_AGE, _YEAR_BY_WORD)


def find_birth_dates(data: bytes) -> Iterator[Span]:
    for pattern, group in ((_BY_WORD, 1), (_BY_AGE, 0), (_YEAR_BY_WORD, 1)):
        for start, end in pattern.find_spans(data, group):
            yield Span(Kind.BIRTH_DATE, start, end)
