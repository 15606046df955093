"""Every number of the daily page once more, by other code: SQL over copies of the stored objects, own arithmetic.

Nothing here comes from `cs_features/reporting/`; what both share is the bucket. Used by the bench `report` and by the
tests of the page.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from cs_features.local.bench.report_reading import (
    PageReader,
    is_same_line,
    place_line,
    spell_count,
    spell_dollars,
    spell_share,
)
from cs_features.s3 import Bucket

COUNTRY_COLUMNS = (
    "landed",
    "validated",
    "rejected, mostly",
    "open rejects",
    "kept",
    "days missing / differing",
    "newest document",
    "dollars today",
    "a thousand",
    "cache",
    "p95",
    "worst field",
    "drift",
    "known from",
)
WEEKS = 28
_OF_DOCUMENTS = ("missing", "outdated", "unread_objects", "superseded_elsewhere")
DIFFERENCES = (*_OF_DOCUMENTS, "unpublished", "unwithdrawn", "missing_online")


@dataclass(frozen=True)
class Morning:
    """What the page was made with: the hour, the countries with floors and languages, the caps, the model in use."""

    now: datetime
    floors: Mapping[str, Mapping[str, float]]
    languages: Mapping[str, int]
    versions: Mapping[str, str]
    model_id: str
    day_cap: float
    month_cap: float

    @property
    def yesterday(self) -> date:
        return self.now.date() - timedelta(days=1)

    @property
    def days(self) -> list[date]:
        return [self.yesterday - timedelta(days=back) for back in reversed(range(WEEKS))]


def mirror_bucket(bucket: Bucket, folder: Path, since: date, prefixes: Sequence[str] = ("",)) -> None:
    """The stored objects that the page may be made of, as files; names alone say what was spent."""
    for item in (item for prefix in prefixes for item in bucket.list_bucket_objects(prefix).objects):
        day = re.search(r"date=(\d{4}-\d\d-\d\d)", item.key)
        if day and date.fromisoformat(day[1]) < since:
            continue
        file = folder / item.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"" if item.key.startswith("spending/") else bucket.get(item.key) or b"")


def count_differences(page: str, folder: Path, morning: Morning) -> tuple[int, list[str]]:
    """How many figures the page has, and which of them other code computes otherwise."""
    reader, oracle = PageReader(page), Oracle(folder, morning)
    told: list[str] = []
    count = 0
    for country in morning.floors:
        wanted = oracle.spell_country(country)
        count += len(wanted)
        told += [
            f"{morning.now:%d %b} {country} {column}: {reader.cells[country][column]!r}, not {text!r}"
            for column, text in wanted.items()
            if reader.cells[country][column] != text
        ]
        for column, values in oracle.list_lines(country).items():
            drawn, line = reader.lines[country][column], place_line(values)
            count += len(line)
            if not is_same_line(drawn, line):
                told.append(f"{morning.now:%d %b} {country} {column}: the line is another")
    for sentence in (oracle.spell_law(), oracle.spell_money()):
        count += len(re.findall(r"\d[\d,.]*", sentence))
        if sentence not in reader.text:
            told.append(f"{morning.now:%d %b}: the page does not say {sentence!r}")
    return count, told


class Oracle:
    """The figures of one morning, from the files of `mirror_bucket`."""

    def __init__(self, folder: Path, morning: Morning) -> None:
        self.folder = folder
        self.morning = morning
        self.connection = duckdb.connect()

    def query(self, files: str, sql: str) -> list[tuple[Any, ...]]:
        """`sql` over the files as the view t; nothing where there are none."""
        if not list(self.folder.glob(files)):
            return []
        source = f"read_parquet('{self.folder}/{files}', hive_partitioning=false, union_by_name=true)"
        return self.connection.sql(f"with t as (select * from {source}) {sql}").fetchall()

    # --- a country's cells --------------------------------------------------------------------

    def spell_country(self, country: str) -> dict[str, str]:
        latest = self.count_days(country).get(self.morning.yesterday, (0, 0, 0))
        texts = (
            *[spell_count(latest[place]) for place in (0, 1)],
            f"{spell_count(latest[2])} {self.find_top_reason(country)}".strip(),
            self.spell_open_rejects(country),
            self.spell_kept(country),
            self.spell_days(country),
            self.spell_newest(country),
            self.spell_dollars(country),
            *self.spell_calls(country),
            *self.spell_worst_field(country),
        )
        quality, source = texts[-2:]
        return dict(zip(COUNTRY_COLUMNS, (*texts[:-2], quality, self.spell_drift(country), source), strict=True))

    def count_days(self, country: str) -> dict[date, tuple[int | None, int | None, int | None]]:
        sql = f"select partition[4:], landed, validated, rejected from t where partition like '{country}|%'"
        return {date.fromisoformat(row[0]): row[1:] for row in self.query("reconciliation/data.parquet", sql)}

    def find_top_reason(self, country: str) -> str:
        files = f"rejected_records/country={country}/date={self.morning.yesterday}/data.parquet"
        rows = self.query(files, "select reason from t group by 1 order by count(*) desc, 1 limit 1")
        return rows[0][0] if rows else ""

    def spell_open_rejects(self, country: str) -> str:
        sql = (
            "select sum(documents)::int, sum(documents) filter (redrivable)::int, "
            f"arg_min(reason, (-documents, reason)) from t where country = '{country}'"
        )
        ((count, redrivable, reason),) = self.query("open_rejects/data.parquet", sql)
        return f"{count:,} {reason}, {redrivable or 0:,} redrivable" if count else "0"

    def spell_kept(self, country: str) -> str:
        sql = f"select sum(kept)::int, count(*) - count(kept) from t where partition like '{country}|%'"
        ((kept, unknown),) = self.query("reconciliation/data.parquet", sql)
        return "unknown" if unknown else spell_count(kept)

    def spell_days(self, country: str) -> str:
        conditions = " or ".join(f"{name} <> 0" for name in DIFFERENCES)
        sql = f"where partition like '{country}|%' and (state = 'unknown' or (state = 'settled' and ({conditions})))"
        ((differing,),) = self.query("reconciliation/data.parquet", f"select count(*) from t {sql}")
        counted = self.count_days(country)
        delivered = {day for day, counts in counted.items() if counts[0] != 0}
        begun = [day for day in self.morning.days if day >= min(delivered)]
        missing = [day for day in begun if day not in delivered and self.is_usual(begun, delivered, day)]
        note = f" missing {missing[-1]:%d %b}" if missing else ""
        return f"{len(missing)} / {differing}{note}"

    def is_usual(self, days: Sequence[date], delivered: set[date], wanted: date) -> bool:
        """Whether the country delivers on most days of that kind."""
        alike = [day in delivered for day in days if (day.weekday() > 4) == (wanted.weekday() > 4)]
        return sum(alike) > len(alike) / 2

    def spell_newest(self, country: str) -> str:
        kept = json.loads((self.folder / "freshness/arrivals.json").read_bytes())
        newest, today = datetime.fromisoformat(kept["newest"][country]), self.morning.now.date()
        numbers = {date.fromisoformat(day): min(found) for day, found in kept["quarters"][country].items()}
        alike = [
            numbers[day]
            for day in numbers
            if min(numbers) < day < today
            and today - day <= timedelta(days=56)
            and (day.weekday() > 4) == (today.weekday() > 4)
        ]
        middle = sorted(alike)[len(alike) // 2]
        moment = f"{newest:%H:%M}" if newest.date() == today else f"{newest:%d %b %H:%M}"
        return f"{moment} usually by {middle // 4:02d}:{middle % 4 * 15:02d}"

    def spell_dollars(self, country: str) -> str:
        today, spent = self.morning.now.date(), self.sum_spent(country)
        month = sum(usd for day, usd in spent.items() if today.replace(day=1) <= day <= today)
        share = spell_share(month / self.morning.month_cap)
        return f"{spell_dollars(spent.get(today, 0.0))} {spell_dollars(month)} month, {share} of the cap"

    def sum_spent(self, country: str) -> dict[date, float]:
        spent: dict[date, float] = {}
        for file in self.folder.glob(f"spending/date=*/country={country}/**/*.json"):
            day = date.fromisoformat(file.relative_to(self.folder).parts[1].removeprefix("date="))
            spent[day] = spent.get(day, 0.0) + float(file.stem.rsplit("-", 1)[1])
        return spent

    def spell_calls(self, country: str) -> tuple[str, str, str]:
        files = f"llm_extractions/country={country}/date={self.morning.yesterday}/data.parquet"
        sql = (
            "select sum(cost_usd) / count(*) * 1000, sum(cache_read_tokens) filter (attempts > 0) / "
            "sum(input_tokens + cache_read_tokens + cache_write_tokens) filter (attempts > 0) from t"
        )
        rows = self.query(files, sql)
        if not rows:
            return "unknown", "unknown", "unknown"
        ((thousand, share),) = rows
        taken = [row[0] for row in self.query(files, "select latency_ms from t where attempts > 0 order by 1")]
        p95 = taken[int(0.95 * (len(taken) - 1) + 0.5)]  # the nearest; of two as near, the higher
        latency = f"{p95 / 1000:.1f} s" if p95 >= 1000 else f"{p95} ms"
        return spell_dollars(thousand), spell_share(share), latency

    def spell_worst_field(self, country: str) -> tuple[str, str]:
        sql = (
            "select field, sum(round(value * items))::int, sum(items)::int, count(distinct language) from t "
            f"where measure = 'accuracy' and model_id = '{self.morning.model_id}' "
            f"and prompt_version = '{self.morning.versions[country]}' group by 1"
        )
        found = []
        for name, right, items, languages in self.query(f"extraction_quality/country={country}/**/data.parquet", sql):
            share, floor, z = right / items, self.morning.floors[country][name], 1.959964
            middle = (share + z * z / 2 / items) / (1 + z * z / items)
            spread = z / (1 + z * z / items) * (share * (1 - share) / items + z * z / 4 / items**2) ** 0.5
            low, high = max(0.0, middle - spread), min(1.0, middle + spread)
            shown = f"{name} {share:.2f} ({low:.2f}-{high:.2f}) {share - floor:+.2f} to its floor {floor:.2f}"
            found.append((share - floor, name, shown, f"golden, {items} items", languages))
        _, _, text, source, languages = min(found)
        known = self.morning.languages[country]
        return text, source if languages == known else f"{source}, {languages} of {known} languages"

    def spell_drift(self, country: str) -> str:
        over = f"week={self.morning.now.date() - timedelta(days=6)}"
        weeks = (self.folder / f"feature_drift/country={country}").glob("week=*")
        folders = sorted(week for week in weeks if week.name < over)
        if not folders:
            return "unknown"
        week = folders[-1].name
        sql = "select feature, verdict from t order by effect desc"
        rows = self.query(f"feature_drift/country={country}/{week}/data.parquet", sql)
        moved = ", ".join(name for name, verdict in rows if verdict == "drifted")
        return f"{moved or 'steady'} week of {date.fromisoformat(week.removeprefix('week=')):%d %b}"

    # --- lines, and what is said of all countries -----------------------------------------------

    def list_lines(self, country: str) -> dict[str, list[float | None]]:
        days, spent = self.count_days(country), self.sum_spent(country)
        lines: dict[str, list[float | None]] = {
            name: [days.get(day, (0, 0, 0))[place] for day in self.morning.days]
            for place, name in enumerate(COUNTRY_COLUMNS[:3])
        }
        return {**lines, "dollars today": [spent.get(day, 0.0) for day in self.morning.days]}

    def spell_law(self) -> str:
        complete = "landed + validated + rejected + duplicates is not null"
        columns = ("landed", "validated", "rejected", "duplicates")
        sums = ", ".join(f"sum({name}) filter ({complete})::int" for name in columns)
        sql = f"select {sums}, count(*) filter ({complete}), count(*) from t where state <> 'past'"
        ((landed, validated, rejected, duplicates, counted, rows),) = self.query("reconciliation/data.parquet", sql)
        missing = landed - validated - rejected - duplicates
        difference = f", {abs(missing):,} {'missing' if missing > 0 else 'too many'}" if missing else ""
        uncounted = f"; {rows - counted:,} could not be counted" if rows > counted else ""
        return (
            f"{landed:,} landed = {validated:,} validated + {rejected:,} rejected + {duplicates:,} exact "
            f"duplicates{difference} ({counted:,} country-days counted from S3{uncounted})"
        )

    def spell_money(self) -> str:
        day_cap, month_cap, today = self.morning.day_cap, self.morning.month_cap, self.morning.now.date()
        spent = [self.sum_spent(country) for country in self.morning.floors]
        of_today = sum(each.get(today, 0.0) for each in spent)
        days = [today.replace(day=number) for number in range(1, today.day + 1)]
        month = sum(each.get(day, 0.0) for each in spent for day in days)
        return (
            f"Everything together: {spell_dollars(of_today)} today of at most {spell_dollars(day_cap)}, "
            f"{spell_dollars(month)} this month, {spell_share(month / month_cap)} of {spell_dollars(month_cap)}."
        )
