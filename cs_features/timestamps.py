"""How ISO 8601 spells one moment, and the one spelling that is read from here on.

Databases leave out what is zero and write a space for the T: `2026-11-24 09:30:00.442+00` is DuckDB's and Postgres'.
What is allowed beyond spelling (which years, which offsets) is judged by whoever reads the moment.
"""

import re

_MOMENT = re.compile(
    r"""
    (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}) [Tt ]
    (?P<minute>[0-9]{2}:[0-9]{2})
    (?: :(?P<second>[0-9]{2}) (?: [.,](?P<fraction>[0-9]+) )? )?
    (?: (?P<utc>[Zz]) | (?P<sign>[+\u2212-])(?P<hours>[0-9]{2})(?: :?(?P<minutes>[0-9]{2}) )? )
    """,
    re.VERBOSE,
)


def spell_out_timestamp(text: str) -> str | None:
    """`2026-11-24T09:30:00.442000+00:00` for any spelling of it with date, time and offset; None for anything else.

    Digits beyond the microsecond are cut off, not rounded: the moment must not move into the next day.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    fraction = (found["fraction"] or "")[:6].ljust(6, "0")
    offset = "+00:00" if found["utc"] else _spell_out_offset(found)
    return f"{found['date']}T{found['minute']}:{found['second'] or '00'}.{fraction}{offset}"


def _spell_out_offset(found: "re.Match[str]") -> str:
    sign = found["sign"].replace("\u2212", "-")  # the minus sign that ISO 8601 means and nobody types
    return f"{sign}{found['hours']}:{found['minutes'] or '00'}"
