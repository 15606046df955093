"""What runs have spent, in the data bucket: so that a budget outlives the run, and a day and a month have a cap.

An object a run and UTC day, `spending/date={day}/{partition's folder}/{run}-{US dollars}.json`: the amount stands in
the name, so that one listing tells a day's spending and no object is ever read. A run replaces its object as it spends.
Days that are over are summed up in `spending/month={month}/{day}-{US dollars}.json`, the month's spending through that
day: a listing holds a day or two, however long the project has run.

Belongs here: the record and the caps that it fills. What a spent cap does is `brakes.py`'s. Runs that spend at the same
time see each other's spending after EXCHANGE_SECONDS: together they may pass a cap by what they spend in that time and
by what is in flight.
"""

import logging
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from cs_features.errors import AwsRefusal
from cs_features.extraction.brakes import Budget, Cap
from cs_features.s3 import Bucket

logger = logging.getLogger(__name__)

EXCHANGE_SECONDS = 5.0
# A day is summed up so long after its end: the last amounts of its runs have been written by then.
CLOSING_TIME = timedelta(hours=1)

_OF_RUN = re.compile(
    r"spending/date=(?P<day>\d{4}-\d\d-\d\d)/(?P<folder>.+)/(?P<run>[0-9a-f]{32})-(?P<usd>\d+\.\d{9})\.json"
)
_OF_MONTH = re.compile(r"spending/month=\d{4}-\d\d/(?P<day>\d{4}-\d\d-\d\d)-(?P<usd>\d+\.\d{9})\.json")


@dataclass(frozen=True)
class Limits:
    """US dollars that may be spent on a partition a UTC day, and on everything a UTC day and month."""

    partition: float
    day: float
    month: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run has spent on one UTC day."""

    day: date
    folder: str
    run: str
    usd: float


@dataclass(frozen=True, slots=True)
class Totals:
    """US dollars, of a partition and of everything."""

    partition: float
    day: float
    month: float


def parse_key(key: str) -> Spent | None:
    """None for a key that is none of ours."""
    found = _OF_RUN.fullmatch(key)
    if found is None or not _is_day(found["day"]):
        return None
    return Spent(date.fromisoformat(found["day"]), found["folder"], found["run"], float(found["usd"]))


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def format_spending_key(spent: Spent) -> str:
    return f"spending/date={spent.day}/{spent.folder}/{spent.run}-{spent.usd:.9f}.json"


def latest_of_each_run(found: Iterable[Spent]) -> list[Spent]:
    """A run that was killed while it replaced its object has two: what it has spent only grows."""
    largest: dict[tuple[date, str, str], Spent] = {}
    for each in found:
        run = each.day, each.folder, each.run
        if run not in largest or each.usd > largest[run].usd:
            largest[run] = each
    return list(largest.values())


def read_spending_totals(bucket: Bucket, folder: str, now: datetime) -> Totals:
    """What all runs have spent by now, in the UTC day and month of `now`.

    Raises:
        AwsRefusal: the data bucket cannot be listed.
    """
    today = now.date()
    last_closed = (now - CLOSING_TIME).date() - timedelta(days=1)
    keys = _list_since(bucket, last_closed)
    closed_through, month = _find_closed_days(keys, today)
    first_open = closed_through + timedelta(days=1) if closed_through else today.replace(day=1)
    if first_open < last_closed:  # nobody has asked for a day or more
        keys = _list_since(bucket, first_open)
    parsed = (parse_key(key) for key in keys)
    of_month = (each for each in parsed if each is not None and _are_of_one_month(each.day, today))
    spent = latest_of_each_run(each for each in of_month if each.day >= first_open)
    if first_open <= last_closed and _are_of_one_month(last_closed, today):
        # Also where nothing was spent: those days need not be listed again.
        closed = month + sum(each.usd for each in spent if each.day <= last_closed)
        bucket.put(f"spending/month={today:%Y-%m}/{last_closed}-{closed:.9f}.json", b"{}")
    of_today = [each for each in spent if each.day == today]
    return Totals(
        partition=sum(each.usd for each in of_today if each.folder == folder),
        day=sum(each.usd for each in of_today),
        month=month + sum(each.usd for each in spent),
    )


def read_spending(bucket: Bucket, since: date) -> list[Spent]:
    """What each run has spent on each day from `since` on, where it is still told run by run.

    Raises:
        AwsRefusal: the data bucket cannot be listed.
    """
    parsed = (parse_key(key) for key in _list_since(bucket, since))
    return latest_of_each_run(each for each in parsed if each is not None)


def _list_since(bucket: Bucket, first: date) -> list[str]:
    """Keys of what was spent from that day on; and those of all sums, because `month` comes after `date`."""
    # "~" comes after everything that a key of the day before goes on with.
    start_after = f"spending/date={first - timedelta(days=1)}~"
    return [item.key for item in bucket.list_bucket_objects("spending/", start_after).objects]


def _find_closed_days(keys: Iterable[str], today: date) -> tuple[date | None, float]:
    """Through which day of the month spending is summed up, and the sum."""
    found = [match for key in keys if (match := _OF_MONTH.fullmatch(key)) and _is_day(match["day"])]
    sums = [(date.fromisoformat(match["day"]), float(match["usd"])) for match in found]
    return max((each for each in sums if _are_of_one_month(each[0], today)), default=(None, 0.0))


def _are_of_one_month(one: date, other: date) -> bool:
    return one.replace(day=1) == other.replace(day=1)


class SharedBudget(Budget):
    """The budget of a run that counts what others have spent, and tells them what this one has."""

    def __init__(
        self,
        bucket: Bucket,
        folder: str,
        limits: Limits,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(limits.partition)
        self._bucket = bucket
        self._folder = folder
        self._limits = limits
        self._now = now
        self._clock = clock
        self._run = uuid.uuid4().hex
        self._own: defaultdict[date, float] = defaultdict(float)
        self._saved: dict[date, Spent] = {}
        self._exchanging = threading.Lock()
        self._exchanged_at: float | None = None

    def spend(self, cost_usd: float) -> None:
        with self._lock:
            self.spent_usd += cost_usd
            self._own[self._now().date()] += cost_usd

    def check(self) -> None:
        """Raises BudgetSpent once a cap is reached, and AwsRefusal when nobody can tell what was spent."""
        self._exchange_if_due()
        super().check()

    def save_spending(self) -> None:
        """Write what this run has spent; S3's refusal is logged, because the run's answers matter more."""
        try:
            with self._exchanging:
                self._write_own_total()
        except AwsRefusal as error:
            logger.warning("Spending not written, the caps count too little: %s", error)

    def _exchange_if_due(self) -> None:
        if not self._is_due():
            return
        # The first time everybody waits for the totals; later on one thread fetches them and the others go on.
        if not self._exchanging.acquire(blocking=self._exchanged_at is None):
            return
        try:
            if self._is_due():
                self._exchange_host_totals()
        finally:
            self._exchanging.release()

    def _exchange_host_totals(self) -> None:
        try:
            self._write_own_total()
            self._set_spending_caps(read_spending_totals(self._bucket, self._folder, self._now()))
        except AwsRefusal as error:
            if self._exchanged_at is None:
                raise
            logger.warning("Spending not exchanged, trying again: %s", error)
        self._exchanged_at = self._clock()

    def _is_due(self) -> bool:
        return self._exchanged_at is None or self._clock() - self._exchanged_at >= EXCHANGE_SECONDS

    def _set_spending_caps(self, totals: Totals) -> None:
        # The totals have what this run has written, and `check` adds all that it has spent.
        written = sum(each.usd for each in self._saved.values())
        self.caps = [
            Cap(
                "CS_FEATURES_MAX_COST_USD",
                self._limits.partition,
                "this partition's runs of today (UTC)",
                totals.partition - written,
            ),
            Cap("CS_FEATURES_MAX_COST_USD_PER_DAY", self._limits.day, "all runs of today (UTC)", totals.day - written),
            Cap(
                "CS_FEATURES_MAX_COST_USD_PER_MONTH",
                self._limits.month,
                "all runs of this month (UTC)",
                totals.month - written,
            ),
        ]

    def _write_own_total(self) -> None:
        with self._lock:
            own = dict(self._own)
        for day, usd in own.items():
            before = self._saved.get(day)
            if not usd or (before is not None and before.usd == usd):
                continue
            spent = Spent(day, self._folder, self._run, usd)
            self._bucket.put(format_spending_key(spent), b"{}")
            self._saved[day] = spent
            if before is not None:
                self._delete_object(format_spending_key(before))

    def _delete_object(self, key: str) -> None:
        try:
            self._bucket.delete([key])
        except AwsRefusal as error:
            # Harmless: of a run's objects the largest counts.
            logger.warning("An earlier amount of this run stays in the data bucket: %s", error)
