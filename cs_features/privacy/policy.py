"""Which interactions reach the model masked: by country and by day. The settings' words; nothing is masked here."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class MaskingPolicy:
    """All are masked but those of `off_countries` and those of days before `first_day`."""

    off_countries: frozenset[str] = frozenset()
    first_day: date | None = None

    def covers(self, country: str, day: date) -> bool:
        return country not in self.off_countries and (self.first_day is None or day >= self.first_day)

    def without_start(self) -> "MaskingPolicy":
        """The same for texts that are of no day, such as the golden corpus."""
        return MaskingPolicy(self.off_countries)


MASK_EVERYTHING = MaskingPolicy()
