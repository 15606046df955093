"""Pages of several mornings against what other code computes: a year's tables, and the inventories of each morning.

Here: what is compared with what. The other code is `report_oracle.py`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from cs_features.local.bench.report_oracle import WEEKS, Morning, count_differences, mirror_bucket
from cs_features.local.bench.year_of_tables import WINDOW_DAYS, Year
from cs_features.partitions import Locale, list_locales
from cs_features.reporting.reader import Scope
from cs_features.reporting.report import PAGE_KEY, Addresses, make_report
from cs_features.s3 import Bucket
from cs_features.services import Model

ADDRESSES = Addresses("http://127.0.0.1:3000", "cs-landing")


@dataclass
class Compared:
    """How many figures were compared, and which are others."""

    figures: int = 0
    differences: list[str] = field(default_factory=list)

    def add_page(self, page: str, folder: str, morning: Morning) -> None:
        figures, differences = count_differences(page, Path(folder), morning)
        self.figures += figures
        self.differences += differences


def compare_mornings(year: Year, mornings: int) -> Compared:
    """The page of each of the mornings before the year's last."""
    compared, last = Compared(), year.today
    bucket, scope = year.tables.bucket, Scope(year.countries, WINDOW_DAYS, year.model)
    with TemporaryDirectory() as folder:
        mirror_bucket(bucket, Path(folder), last - timedelta(days=mornings + 2 * WEEKS))
        for back in range(mornings, 0, -1):
            day = last - timedelta(days=back)
            now = datetime(day.year, day.month, day.day, 5, tzinfo=timezone.utc)
            year.write_morning(day)
            mirror_bucket(
                bucket, Path(folder), day, ("reconciliation/", "open_rejects/", "feature_drift/", "freshness/")
            )
            page = make_report(year.tables, scope, [], ADDRESSES, now).page
            compared.add_page(page, folder, describe_morning(year.model, year.countries, now))
    return compared


def compare_latest_page(bucket: Bucket, model: Model, countries: Sequence[str]) -> Compared:
    """The page that lies in the bucket, which says itself when it was made."""
    page = (bucket.get(PAGE_KEY) or b"").decode()
    when = re.search(r'class="when">\w+, ([^.]*) UTC', page)
    assert when is not None, "the page says no hour"
    now = datetime.strptime(when[1], "%d %B %Y, %H:%M").replace(tzinfo=timezone.utc)
    compared = Compared()
    with TemporaryDirectory() as folder:
        mirror_bucket(bucket, Path(folder), now.date() - timedelta(days=2 * WEEKS))
        compared.add_page(page, folder, describe_morning(model, countries, now))
    return compared


def describe_morning(model: Model, countries: Sequence[str], now: datetime) -> Morning:
    prompts, limits = model.prompts(), model.limits()
    of_locales = [Locale.from_key(key).country for key in list_locales(model.prompts_dir)]
    return Morning(
        now=now,
        floors={country: prompts.countries[country].floors.model_dump() for country in countries},
        languages={country: of_locales.count(country) for country in countries},
        versions={country: prompts.version(country) for country in countries},
        model_id=model.model_id,
        day_cap=limits.day,
        month_cap=limits.month,
    )
