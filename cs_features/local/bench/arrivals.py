"""A simulated year of arrivals: how often the sensor runs what, how late documents are served, what S3 is asked for.

The decisions are the product's (`choose_scope`, `decide_runs`, `Cursor`); the world around them is arithmetic: folders
are counters, and a run takes a start and its share of the quota. Partitions at rest are left out of a tick, because
each is judged by itself. Not here: what lands (`arrivals_year.py`), and what a run asks of S3 (scenario `trickle`).
"""

import heapq
import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from cs_features.environments import Settings
from cs_features.local.bench.arrivals_year import BEGIN, SHARES, Year, make_year
from cs_features.local.bench.figures import Figure, Say, as_count, at_most
from cs_features.orchestration.sensors.landing_decision import Folder, Limits, Observed, decide_runs
from cs_features.orchestration.sensors.landing_memory import Cursor, Request
from cs_features.orchestration.sensors.landing_survey import Scope, Window, choose_scope
from cs_features.partitions import Partition

TICK_SECONDS = 30
RUNS_AT_ONCE = 4  # as local/dagster.yaml
# Measured on two cores through the daemon: from the tick to the run's own listing, and from there to its end.
SECONDS_TO_LISTING, SECONDS_A_RUN = 9.0, 8.0
CALLS_A_SECOND = 1_200 / 60
PAGE = 1_000
USD_A_LISTING = 0.0054 / 1_000  # eu-central-1, list price of 2026-11
MONTH_DAYS = 30
# (quiet seconds, patience minutes): what could have been the defaults.
CURVE = [(60, 5), (60, 10), (60, 15), (60, 20), (60, 25), (60, 28), (60, 40), (60, 60), (300, 25)]
CURVE_DAYS = range(305, 340)  # five weeks, of which one is the campaign's


@dataclass
class Store:
    """What has landed and what has been served, by partition number."""

    landed: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    served: dict[int, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class Queue:
    """Places for runs: when each is free again, and when the last run of a partition ends."""

    free_at: list[float] = field(default_factory=lambda: [0.0] * RUNS_AT_ONCE)
    ends: dict[int, float] = field(default_factory=dict)

    def start_queued_run(self, number: int, asked_at: float) -> float:
        """When a run that is asked for now lists its folder."""
        begin = max(asked_at, heapq.heappop(self.free_at), self.ends.get(number, 0.0))
        return begin + SECONDS_TO_LISTING

    def end_started_run(self, number: int, listed_at: float, calls: int) -> float:
        end = listed_at + SECONDS_A_RUN + calls / CALLS_A_SECOND
        heapq.heappush(self.free_at, end)
        self.ends[number] = end
        return end


@dataclass
class Seen:
    """What came of a simulation: seconds from landing to store by document, runs and listings by day."""

    waits: list[float] = field(default_factory=list)
    first_waits: list[float] = field(default_factory=list)
    runs: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    listings: dict[int, int] = field(default_factory=lambda: defaultdict(int))


class Simulation:
    """The sensor's ticks over a year of documents, under one pair of settings."""

    def __init__(self, year: Year, limits: Limits, window_days: int) -> None:
        self.year, self.limits, self.window_days = year, limits, window_days
        self.number_of = {key: number for number, key in enumerate(year.keys)}
        self.store, self.queue, self.seen = Store(), Queue(), Seen()
        self.asked: dict[str, Request] = {}
        self.changing_since: dict[str, datetime] = {}
        self.surveyed_at: datetime | None = None
        self.unsettled: set[str] = set()  # partitions that hold what was not asked for
        self.pending: list[tuple[float, int, int]] = []  # runs that have not listed their folder yet

    def simulate_ticks(self) -> Seen:
        position, landed, partition = 0, self.year.landed, self.year.partition
        for tick in range(TICK_SECONDS, self.year.days * 86_400 + 1, TICK_SECONDS):
            while position < landed.size and landed[position] <= tick:
                number = int(partition[position])
                self.store.landed[number].append(float(landed[position]))
                self.unsettled.add(self.year.keys[number])
                position += 1
            self.tick_landing_sensor(float(tick))
        return self.seen

    def tick_landing_sensor(self, seconds: float) -> None:
        now = BEGIN + timedelta(seconds=seconds) + self.offset
        window = Window(now.date() - timedelta(days=self.window_days), now.date())
        cursor = self.recall_cursor(now)
        scope = choose_scope(cursor, Observed(now, {}), {}, window, self.limits)
        self.seen.listings[int(seconds // 86_400)] += self.count_listings(scope, window)
        if scope.is_whole:
            self.surveyed_at = now
        listed = [key for key in self.unsettled if scope.covers(key) and self.is_in_window(key, window)]
        if not listed:
            return
        folders = {key: self.describe_folder(key) for key in listed}
        known = cursor.keep_partitions(folders.__contains__)
        decision = decide_runs(known, Observed(now, folders), self.limits)
        after = known.remember_decision(decision.runs, [*decision.settling, *decision.postponed], now)
        others = {key: since for key, since in self.changing_since.items() if key not in folders}
        self.changing_since = others | after.changing_since
        for key, request in decision.runs.items():
            self.asked[key] = request
            self.unsettled.discard(key)
            self.serve_partition(key, seconds)

    @property
    def offset(self) -> timedelta:
        return Partition.from_key(self.year.keys[0]).date - BEGIN.date()

    def recall_cursor(self, now: datetime) -> Cursor:
        asked = {key: self.asked[key] for key in self.unsettled if key in self.asked}
        return Cursor(asked=asked, changing_since=self.changing_since, surveyed_at=self.surveyed_at)

    def is_in_window(self, key: str, window: Window) -> bool:
        return window.since <= Partition.from_key(key).date <= window.today

    def describe_folder(self, key: str) -> Folder:
        landed = self.store.landed[self.number_of[key]]
        return Folder(str(len(landed)), BEGIN + self.offset + timedelta(seconds=landed[-1]))

    def serve_partition(self, key: str, seconds: float) -> None:
        """A run is asked for: what has landed by its own listing is served when it ends."""
        number = self.number_of[key]
        listed_at = self.queue.start_queued_run(number, seconds)
        day = int(seconds // 86_400)
        self.seen.runs[day] += 1
        found = self.store.landed[number]
        # Of what lands between the tick and the run's listing nothing is known yet: it counts for the next run.
        fresh = found[self.store.served[number] :]
        end = self.queue.end_started_run(number, listed_at, len(fresh))
        waits = [end - moment for moment in fresh]
        if self.store.served[number] == 0:
            self.seen.first_waits.append(max(waits))
        self.store.served[number] = len(found)
        self.seen.waits += waits

    def count_listings(self, scope: Scope, window: Window) -> int:
        """Pages of the listings of one tick: the countries', the notices', and, of a whole one, their folders'."""
        pages = 1 + int(scope.is_whole) + len(scope.singly)
        days = (window.today - scope.since).days + 1
        for country in SHARES:
            dates = (window.today - timedelta(days=ago) for ago in range(days))
            numbers = (self.number_of.get(Partition(country, day).key) for day in dates)
            objects = sum(len(self.store.landed[number]) for number in numbers if number is not None)
            pages += max(1, math.ceil(objects / PAGE))
        return pages


def simulate_arrivals(year: Year, quiet_seconds: int, patience_minutes: float) -> Seen:
    limits = Limits(
        timedelta(seconds=quiet_seconds),
        timedelta(minutes=patience_minutes),
        Settings.model_fields["landing_max_requests"].default,
    )
    return Simulation(year, limits, Settings.model_fields["landing_window_days"].default).simulate_ticks()


def measure_arrivals(quick: bool, say: Say) -> list[Figure]:
    quiet = Settings.model_fields["landing_quiet_seconds"].default
    patience = Settings.model_fields["landing_patience_seconds"].default / 60
    days = 21 if quick else 365
    year = make_year(0, days)
    say(f"{year.landed.size:,} documents in {days} days; quiet {quiet} s, patience {patience:g} min")
    return [
        *describe_simulated_year(simulate_arrivals(year, quiet, patience), days),
        *measure_patience_curve(quick, say),
    ]


def describe_simulated_year(seen: Seen, days: int) -> list[Figure]:
    waits, first = np.array(seen.waits) / 60, np.array(seen.first_waits) / 60
    runs, listings = np.array(list(seen.runs.values())), sum(seen.listings.values())
    a_month = listings / days * MONTH_DAYS

    def show_minutes(value: float) -> str:
        return f"{value:.1f} min"

    return [
        at_most("runs a day", float(runs.sum()) / days, 250, as_count, f"most on one day {runs.max()}"),
        at_most(
            "landing to store, p95", float(np.percentile(waits, 95)), 30, show_minutes, describe_waiting_times(waits)
        ),
        Figure("the first documents of a partition, p95", show_minutes(float(np.percentile(first, 95)))),
        at_most("LIST requests of the sensor a month", a_month, 1e6, as_count, f"${a_month * USD_A_LISTING:.2f}"),
        Figure("documents served", f"{waits.size:,} in {days} days"),
    ]


def describe_waiting_times(waits: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    return f"median {np.percentile(waits, 50):.1f}, p99 {np.percentile(waits, 99):.1f}, most {waits.max():.0f}"


def measure_patience_curve(quick: bool, say: Say) -> list[Figure]:
    """Runs a day against p95, over five weeks of which one is the campaign's."""
    chosen = CURVE_DAYS[:7] if quick else CURVE_DAYS
    year = make_year(chosen.start, len(chosen))
    figures = []
    for quiet, patience in CURVE:
        seen = simulate_arrivals(year, quiet, patience)
        runs, p95 = sum(seen.runs.values()) / len(chosen), np.percentile(seen.waits, 95) / 60
        first = np.percentile(seen.first_waits, 95) / 60
        text = f"{runs:.0f} runs a day, p95 {p95:.1f} min, first documents {first:.1f} min"
        say(f"quiet {quiet} s, patience {patience} min: {text}")
        figures.append(Figure(f"quiet {quiet} s, patience {patience} min", text, runs))
    return figures
