"""A year of the data bucket, as runs would have left it: tables, inventories, spending, arrivals. No customer's word.

For benches and tests that need the size and not the runs. The numbers vary from day to day as a business's do, from a
seed; `Year.days` says what they are.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from typing import Any
from uuid import UUID

import polars as pl

from cs_features.extraction.spending import Spent, format_spending_key
from cs_features.extraction.table import EXTRACTIONS_SCHEMA
from cs_features.monitoring.drift import VERDICTS
from cs_features.monitoring.freshness import REMEMBERED_DAYS, Arrivals, floor_to_quarter, write_arrival_times
from cs_features.monitoring.misfiled import MISFILED_SCHEMA
from cs_features.monitoring.open_rejects import count_open_rejects
from cs_features.monitoring.reconciliation import RECONCILIATION_SCHEMA
from cs_features.partitions import Locale, Partition, Week, list_locales, monday_of
from cs_features.quality.evaluation import QUALITY_SCHEMA, compute_wilson_interval
from cs_features.schemas import CATEGORICAL, Reason
from cs_features.services import Model
from cs_features.storage import Tables

WINDOW_DAYS = 35
REJECTED_REASONS = (Reason.MALFORMED_JSON, Reason.EMPTY_TEXT, Reason.INVALID_ANSWER)
REJECTED_SCHEMA = pl.Schema(
    {
        "interaction_id": pl.String(),
        "source_uri": pl.String(),
        "source_line": pl.Int64(),
        "stage": pl.String(),
        "reason": pl.String(),
        "detail": pl.String(),
        "redrivable": pl.Boolean(),
        "payload": pl.String(),
        "rejected_at": pl.Datetime("us", "UTC"),
    }
)


@dataclass(frozen=True)
class Day:
    """What became of one country's day."""

    validated: int
    rejected: int
    duplicates: int
    cost_usd: float

    @property
    def landed(self) -> int:
        return self.validated + self.rejected + self.duplicates


@dataclass
class Year:
    """The countries' days up to `today`, and what they are written with."""

    tables: Tables
    model: Model
    countries: Sequence[str]
    today: date
    days: int = 365
    documents: int = 60  # of a country's ordinary day
    seed: int = 0
    troubled: bool = False  # whether some days were not counted, differ, are missing or have kept records
    written: dict[Partition, Day] = field(default_factory=dict)

    def write(self) -> None:
        chance = random.Random(self.seed)
        for country in self.countries:
            for back in range(self.days, 0, -1):
                self._write_day(Partition(country, self.today - timedelta(days=back)), chance)
        self._write_inventories()
        self._write_quality(chance)
        self._write_drift()
        write_arrival_times(self.tables.bucket, self._make_arrivals(chance))

    def write_morning(self, today: date) -> None:
        """The inventories, the drift and the arrivals as they are on another morning; the days stay as they are."""
        self.today = today
        self._write_inventories()
        self._write_drift()
        write_arrival_times(self.tables.bucket, self._make_arrivals(random.Random(today.toordinal())))

    def _write_day(self, partition: Partition, chance: random.Random) -> None:
        share = 0.4 if partition.date.weekday() >= 5 else 1.0
        validated = max(1, round(chance.gauss(self.documents * share, self.documents * share / 8)))
        rejected, duplicates = chance.choice((0, 0, 0, 1, 1, 2)), chance.choice((0, 0, 1))
        extractions = self._make_extractions(partition, validated, chance)
        self.tables.write("llm_extractions", partition, extractions)
        self.tables.write("rejected_records", partition, self._make_rejects(partition, rejected, chance))
        cost = float(extractions["cost_usd"].sum())
        spent = Spent(partition.date, partition.folder, UUID(int=chance.getrandbits(128)).hex, cost)
        self.tables.bucket.put(format_spending_key(spent), b"{}")
        self.written[partition] = Day(validated, rejected, duplicates, cost)

    def _make_extractions(self, partition: Partition, rows: int, chance: random.Random) -> pl.DataFrame:
        version = self.model.prompts().asked_version(partition.country)
        return pl.DataFrame(
            [
                {
                    "interaction_id": str(UUID(int=chance.getrandbits(128))),
                    "status": "answered",
                    "model_id": self.model.model_id,
                    "prompt_version": version,
                    "input_tokens": chance.randint(150, 400),
                    "cache_read_tokens": 4_100 if number else 0,
                    "cache_write_tokens": 0 if number else 4_100,
                    "output_tokens": chance.randint(90, 140),
                    "cost_usd": round(chance.uniform(0.00012, 0.00019), 9),
                    "latency_ms": round(chance.lognormvariate(7.0, 0.35)),
                    "attempts": 1,
                    "reused": False,
                    "truncated": False,
                }
                for number in range(rows)
            ],
            schema=EXTRACTIONS_SCHEMA,
        )

    def _make_rejects(self, partition: Partition, rows: int, chance: random.Random) -> pl.DataFrame:
        made = []
        for number in range(rows):
            reason = chance.choice(REJECTED_REASONS)
            uri = f"s3://landing/interactions/{partition.folder}/a.jsonl"
            row: dict[str, Any] = {"source_uri": uri, "source_line": number + 1, "stage": reason.stage}
            made.append({**row, "reason": reason.value, "detail": reason.meaning, "redrivable": reason.redrivable})
        return pl.DataFrame(made, schema=REJECTED_SCHEMA)

    def _write_inventories(self) -> None:
        first = self.today - timedelta(days=WINDOW_DAYS)
        counted = [each for each in sorted(self.written) if first <= each.date < self.today]
        rows = [row for each in counted if (row := self._spoil_row(each, self._reconcile(each)))]
        self.tables.write("reconciliation", None, pl.DataFrame(rows, schema=RECONCILIATION_SCHEMA))
        self.tables.write("misfiled_objects", None, MISFILED_SCHEMA.to_frame())
        read = (
            (partition.country, partition.date, self.tables.read("rejected_records", partition))
            for partition, day in self.written.items()
            if day.rejected
        )
        rejects = count_open_rejects((country, day, frame) for country, day, frame in read if frame is not None)
        self.tables.write("open_rejects", None, rejects)

    def _reconcile(self, partition: Partition) -> dict[str, Any]:
        day = self.written[partition]
        zeros = dict.fromkeys(("missing", "outdated", "unread_objects", "superseded_elsewhere", "kept"), 0)
        store = {"unpublished": 0, "unwithdrawn": 0, "asked_online": 20, "missing_online": 0}
        counts = {"landed": day.landed, "validated": day.validated, "rejected": day.rejected}
        row = {"partition": partition.key, "state": "settled", "duplicates": day.duplicates, "served": day.validated}
        return {**row, **counts, **zeros, **store}

    def _spoil_row(self, partition: Partition, row: dict[str, Any]) -> dict[str, Any] | None:
        """As it is, or on a day of trouble with something wrong; None where nothing landed."""
        if not self.troubled:
            return row
        chance = random.Random(partition.key)
        row["kept"] = chance.choice((0, 0, 1, 2))
        trouble = chance.choice((None,) * 20 + ("missing", "differs", "unknown", "changing"))
        if trouble == "missing":
            return None
        if trouble == "differs":
            return {**row, "landed": row["landed"] + 2, "missing": 2}
        if trouble == "unknown":
            return {**row, "state": "unknown", "landed": None, "missing": None, "error": "AccessDenied"}
        return {**row, "state": trouble or row["state"]}

    def _write_quality(self, chance: random.Random) -> None:
        prompts = self.model.prompts()
        for locale in map(Locale.from_key, list_locales(self.model.prompts_dir)):
            if locale.country not in self.countries:
                continue
            version = prompts.version(locale.country)
            rows = []
            for name in CATEGORICAL:
                right = chance.randint(13, 15)
                low, high = compute_wilson_interval(right, 15)
                place = {"country": locale.country, "language": locale.language, "field": name, "measure": "accuracy"}
                rows.append({**place, "value": right / 15, "low": low, "high": high, "items": 15})
            frame = pl.DataFrame(rows, schema=QUALITY_SCHEMA)
            stamped = frame.with_columns(model_id=pl.lit(self.model.model_id), prompt_version=pl.lit(version))
            self.tables.write("extraction_quality", locale, stamped)

    def _write_drift(self) -> None:
        monday = monday_of(self.today) - timedelta(weeks=1)
        for country in self.countries:
            drifted = random.Random(f"{country} {monday}").sample(CATEGORICAL, 2) if self.troubled else []
            verdicts = {name: "drifted" if name in drifted else "steady" for name in CATEGORICAL}
            rows = [
                {"feature": name, "verdict": verdict, "effect": 0.01 * (place + 1)}
                for place, (name, verdict) in enumerate(verdicts.items())
            ]
            self.tables.write("feature_drift", Week(country, monday), pl.DataFrame(rows, schema=VERDICTS))

    def _make_arrivals(self, chance: random.Random) -> Arrivals:
        """A delivery an hour or so, from five in the morning to ten at night."""
        newest, quarters = {}, {}
        midnight = datetime.combine(self.today, time(), timezone.utc)
        for country in self.countries:
            moments = []
            for back in range(REMEMBERED_DAYS, -1, -1):
                begin = midnight - timedelta(days=back)
                hours = range(5, 22) if back else range(3, 5)
                moments += [begin + timedelta(hours=hour, minutes=chance.randint(0, 50)) for hour in hours]
            newest[country] = max(moments)
            quarters[country] = sorted({floor_to_quarter(moment) for moment in moments})
        return Arrivals(newest, quarters)
