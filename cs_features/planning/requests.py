"""What a person asks a quote or a preview for, judged where it is asked: countries that exist, days that can hold
documents. A request that cannot be meant is refused in one sentence, before anything is read or paid.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from difflib import get_close_matches

from cs_features.errors import RequestError


@dataclass(frozen=True)
class Calendar:
    """The days that are partitions, both ends included."""

    first: date
    today: date

    @classmethod
    def since(cls, first: date) -> "Calendar":
        return cls(first, datetime.now(timezone.utc).date())

    def require_valid_days(self, first: date | None, last: date | None) -> None:
        """Raises:
        RequestError: the days lie the wrong way round, before the first partition or after today (UTC).
        """
        if first is not None and last is not None and first > last:
            raise RequestError(f"The first day, {first}, is after the last, {last}")
        for day in (first, last):
            if day is not None and day < self.first:
                raise RequestError(f"{day} is before {self.first}, the first day that CS_FEATURES_FIRST_DATE allows")
            if day is not None and day > self.today:
                raise RequestError(f"{day} is still to come: today is {self.today} in UTC")


def parse_day(text: str) -> date:
    """A day written YYYY-MM-DD.

    Raises:
        RequestError: anything else.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc).date()
    except ValueError:
        raise RequestError(f"{text!r} is no day: write YYYY-MM-DD, for example 2026-11-24") from None


def require_known_countries(asked: Sequence[str], known: Iterable[str]) -> list[str]:
    """The countries asked for, or all that are known where none was.

    Raises:
        RequestError: names the first that does not exist, and what could be meant.
    """
    known = sorted(known)
    for country in asked:
        if country not in known:
            similar = get_close_matches(country.upper(), known, n=1)
            meant = f"did you mean {similar[0]}? They" if similar else "they"
            raise RequestError(f"{country!r} is no country here; {meant} are {', '.join(known)}")
    return list(dict.fromkeys(asked)) or known
