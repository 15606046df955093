"""What mail programs add to a mail: the thread it answers, and the signature below it.

The library knows how programs of many languages head a quoted mail, and how people close one. It is asked for that
knowledge alone: it would take every list for a signature and every "Thanks, but ..." for a farewell, and a customer's
words must not be lost. So a thread is cut where a program headed it and something was written above, a signature only
where nothing below the closing reads like a sentence. Not here: HTML (`markup.py`).
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby

import re2

LANGUAGES = ("nl", "fr", "es", "pl", "de", "en", "it", "da", "sv", "cs")

# What programs call the quoted part and the signature in HTML.
QUOTED_ELEMENTS = (
    "blockquote[type=cite],.gmail_quote,.yahoo_quoted,.protonmail_quote,.moz-cite-prefix,#appendonsend,#divRplyFwdMsg"
)
QUOTED_FROM_HERE = ("#appendonsend", "#divRplyFwdMsg")  # and all that stands behind them in the same element
SIGNATURE_ELEMENTS = ".gmail_signature,.moz-signature,#Signature,#ms-outlook-mobile-signature"

# A thread that is headed further down is cut as too long anyway.
_SEARCHED = 100_000
_SEARCHED_LINES = 2_000
_HEADER_LENGTH = 200
_SIGNATURE_LINES = 12
_BLANK_LINES = 8  # between a quote and who is quoted; without a bound each quote would look at all lines above it again

_FROM = re.compile(r"[>* ]*(?:From|Von|Van|De|Da|Od|Fra|Från)\b", re.IGNORECASE)
_FORWARDED = re.compile(r"forward|doorgestuurd|weitergeleitet|transf[ée]r|reenviad|przekaz|inoltrat", re.IGNORECASE)
# "Op di 24 nov. 2026 om 09:30 schreef Webshop <service@example.nl>:", in whatever language. Here and in the next one an
# engine without backtracking: with the other, and with the library's own patterns for it, somebody who writes many
# such lines stops a partition.
_ATTRIBUTION = re2.compile(r".*<\s?[^\s<>@]{1,100}@[^\s<>@]{1,100}>.{0,60}:")
# The same with the words for "wrote".
_WROTE = re2.compile(
    r"(?i)(?:> ?)*(?:Op|Le|El|Dnia|Am|On|Il|Den|Dne|Man|Mån|Tir|Tis|Ons|Tor|Fre|Lør|Lör|Søn|Sön|[0-9]{1,2}) .{0,390}"
    r"(?:schreef|a écrit|escribió|napisał|napisała|napisał\(a\)|nadesłał|schrieb|wrote|ha scritto|skrev|napsal\(a\))"
    r"[^:]{0,150}:"
)
_WROTE_WORDS = (
    "schreef", "écrit", "escribió", "napisał", "nadesłał", "schrieb", "wrote", "scritto", "skrev", "napsal",
)  # fmt: skip
# "[* ]*(?:Van|Verzonden|Aan):" in a pattern of the library.
_NAMES_IN_PATTERN = re.compile(r"\[\* \]\*\(\?:([^()]+)\):")
_CLOCK = re.compile(r"\d{1,2}[:h]\d{2}")
_RULE = re.compile(r"[-_=*]{3,}.*[-_=*]{3,}|[-_]{10,}")
_RULE_END = "-----"
# How a line begins that a telephone's program adds, and the whole of it.
_SENT_WORDS = (
    "sent from", "get outlook", "verzonden", "verstuurd", "gesendet", "von mein", "envoy", "enviado", "wysłan",
    "inviato",
)  # fmt: skip
_SENT_FROM = re.compile(
    r"(?:Sent from|Get Outlook for|Verzonden vanaf|Verstuurd vanaf|Gesendet von|Gesendet mit|Von mein\w+ .*gesendet"
    r"|Envoy[ée] de(?:puis)?|Enviado desde|Wysłan[eo] z|Inviato da)\b.{0,60}",
    re.IGNORECASE,
)


def remove_quoted_thread(text: str) -> str:
    """The mail without the mails it quotes; unchanged where it quotes none or has nothing else."""
    lines = text.split("\n")
    kept = _drop_quoted_lines(lines)
    kept = kept[: _find_quoted_thread(kept)]
    return text if len(kept) == len(lines) else _join(kept)


def remove_mail_signature(text: str) -> str:
    """The mail without what stands below its closing; unchanged where no closing is found."""
    lines = text.split("\n")
    end = _find_signature_line(lines)
    kept = [line for line in lines[:end] if not (line and _is_sent_line(line.strip()))]
    return text if len(kept) == len(lines) else _join(kept)


def _is_sent_line(line: str) -> bool:
    return line[:12].lower().startswith(_SENT_WORDS) and _SENT_FROM.fullmatch(line) is not None


def is_forwarded_mail(text: str) -> bool:
    """Whether a quoted part begins as programs begin one that is passed on: its words are what the mail is about."""
    return _FORWARDED.search(text[:_HEADER_LENGTH]) is not None


def _drop_quoted_lines(lines: Sequence[str]) -> list[str]:
    """Without the blocks that programs quote by `>`, and the line that says whose words they are.

    One such line alone may be an arrow or a face that somebody typed.
    """
    kept: list[str] = []
    for is_quoted, block in groupby(lines, _is_quoted):
        part = list(block)
        attribution = _count_attribution_lines(kept) if is_quoted else 0
        if is_quoted and (len(part) > 1 or attribution):
            del kept[len(kept) - attribution :]
        else:
            kept += part
    return kept


def _is_quoted(line: str) -> bool:
    return line.lstrip().startswith(">")


def _count_attribution_lines(kept: Sequence[str]) -> int:
    """How many lines at the end of `kept` say who wrote what follows, blank ones included; programs wrap them."""
    blank = 0
    for line in reversed(kept[-_BLANK_LINES:]):
        if line and not line.isspace():
            break
        blank += 1
    if blank == len(kept) or not kept[-1 - blank].rstrip().endswith(":"):
        return 0
    for count in (1, 2, 3):
        wrapped = kept[len(kept) - blank - count : len(kept) - blank]
        if len(wrapped) == count and _is_attribution_line(" ".join(wrapped)):
            return blank + count
    return 0


def _is_attribution_line(line: str) -> bool:
    line = line.strip()
    return len(line) <= 2 * _HEADER_LENGTH and _says_who_wrote(line, _CLOCK.search(line) is not None)


def _says_who_wrote(line: str, has_clock: bool) -> bool:
    if not line.endswith(":"):
        return False
    encoded = line.encode("utf-8", "replace")
    return (has_clock and _ATTRIBUTION.fullmatch(encoded) is not None) or _WROTE.fullmatch(encoded) is not None


def _may_say_who_wrote(line: str) -> bool:
    """Whether it has an address or a word for it: most have not, and the patterns take longer than to see that."""
    return "@" in line or any(map(line.lower().__contains__, _WROTE_WORDS))


def _find_quoted_thread(lines: Sequence[str]) -> int:
    """The line at which a quoted mail begins; the number of lines where none does."""
    clipped = _clip(lines)
    own = _find_words(clipped)
    fields, attribution = _find_header_fields(clipped, own), _find_attribution_line(clipped, own)
    if fields is None and attribution is None:
        return len(lines)
    return min(_before_rule(lines, start) for start in (fields, attribution) if start is not None)


def _find_header_fields(clipped: Sequence[str], own: int) -> int | None:
    """The line below the customer's `own` first one at which a block of From, Sent, Subject begins."""
    text, end = "\n".join(clipped), 0
    for line, offset in _list_field_lines(clipped):
        start = max(0, offset - 1)  # the library's patterns take in the line's end above
        found = _field_headers().match(text, start) if start >= end else None
        if found is None:
            continue
        end = found.end()
        if line > own and _heads_a_thread(found[0].strip("\n")):
            return line
    return None


def _list_field_lines(clipped: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The lines at which such a block may begin, with their offsets: looked for everywhere it takes far longer."""
    offset = 0
    for place, line in enumerate(clipped):
        name, colon, _ = line.partition(":")
        if (colon and _field_names().fullmatch(name)) or line.endswith(_RULE_END):
            yield place, offset
        offset += len(line) + 1


def _find_attribution_line(clipped: Sequence[str], own: int) -> int | None:
    """The line at which "On Tuesday at 9:30 somebody wrote:" begins; programs wrap it."""
    ends = [place for place, line in enumerate(clipped) if line.endswith(":")]
    # It ends with a colon, in its first line or in one of the two below.
    starts = sorted({start for end in ends for start in range(max(own + 1, end - 2), end + 1)})
    return next((start for start in starts if _is_wrapped_attribution(clipped[start : start + 3])), None)


def _is_wrapped_attribution(lines: Sequence[str]) -> bool:
    # The clock stands in its first line or, wrapped, in its second.
    if not _may_say_who_wrote(" ".join(lines)) or not any(map(_CLOCK.search, lines[:2])):
        return False
    for count in range(1, len(lines) + 1):
        line = " ".join(lines[:count]).strip()
        if line.endswith(":") and _CLOCK.search(line) and _says_who_wrote(line, has_clock=True):
            return True
    return False


def _heads_a_thread(header: str) -> bool:
    """Whether it is a program's: it says from whom in its first line and more below, or at what time."""
    lines = header.split("\n")
    if _FROM.match(lines[0]):
        fields = sum(":" in line for line in lines)
        # "Van: Amsterdam, Datum: 12 november" is a customer's journey.
        return (fields > 1 and "@" in header) or (fields > 2 and _CLOCK.search(header) is not None)
    is_attribution = header.endswith(":") and _CLOCK.search(header) is not None
    return is_attribution or _RULE.fullmatch(lines[0].strip()) is not None


def _before_rule(lines: Sequence[str], start: int) -> int:
    """Where the thread begins with the rule above its header; nowhere if the rule says that it is passed on."""
    above = start
    while above > 0 and not lines[above - 1].strip():
        above -= 1
    if above == 0 or not _RULE.fullmatch(lines[above - 1].strip()):
        return start
    return len(lines) if is_forwarded_mail(lines[above - 1]) else above - 1


def _find_signature_line(lines: Sequence[str]) -> int:
    """The line at which a signature begins; the number of lines where there is none."""
    first = max(1, len(lines) - _SIGNATURE_LINES, _find_words(lines) + 1)
    for start in range(first, len(lines)):
        line = lines[start].strip()
        closes = line == "--" or (_closings().fullmatch(line) and not any(map(_is_whole_sentence, lines[start + 1 :])))
        if closes:
            return start
    return len(lines)


def _is_whole_sentence(line: str) -> bool:
    words = line.split()
    return "?" in line or len(words) > 8 or (len(words) > 3 and line.rstrip().endswith((".", "!", ",")))


def _find_words(lines: Sequence[str]) -> int:
    """The first line that says anything; the number of lines where none does."""
    return next((place for place, line in enumerate(lines) if any(map(str.isalnum, line))), len(lines))


def _clip(lines: Sequence[str]) -> list[str]:
    """As many lines as are searched, each as long as a header can be: the library's patterns are not linear."""
    clipped: list[str] = []
    searched = 0
    for line in lines:
        if searched > _SEARCHED or len(clipped) == _SEARCHED_LINES:
            break
        clipped.append(line[:_HEADER_LENGTH].replace("\xa0", " ").rstrip())
        searched += len(clipped[-1]) + 1
    return clipped


def _join(lines: Sequence[str]) -> str:
    return "\n".join(lines).strip()


@lru_cache(maxsize=1)
def _field_headers() -> "re.Pattern[str]":
    from mailparser_reply.constants import MAIL_LANGUAGES

    # Each takes in the line below the block, too: of the blocks of all languages the one that begins first is wanted.
    return re.compile("|".join(MAIL_LANGUAGES[code]["from_header"] for code in LANGUAGES), re.IGNORECASE | re.MULTILINE)


@lru_cache(maxsize=1)
def _field_names() -> "re.Pattern[str]":
    """What stands before a field's colon: as the library's patterns name it, in lines quoted or in bold, too."""
    from mailparser_reply.constants import MAIL_LANGUAGES

    headers = (MAIL_LANGUAGES[code]["from_header"] for code in LANGUAGES)
    names = [names for header in headers for names in _NAMES_IN_PATTERN.findall(header)]
    return re.compile(rf"(?:> ?)*[* ]*(?:{'|'.join(names)})", re.IGNORECASE)


@lru_cache(maxsize=1)
def _closings() -> "re.Pattern[str]":
    from mailparser_reply.constants import MAIL_LANGUAGES

    phrases = [phrase.rstrip(",") for code in LANGUAGES for phrase in MAIL_LANGUAGES[code].get("signatures", [])]
    return re.compile(rf"(?:{'|'.join(phrases)})\s*[,.!]?", re.IGNORECASE)
