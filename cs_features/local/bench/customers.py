"""The daily update of customers' features at a year's size: what a day costs, and whether served equals trained.

A year's contacts lie in the offline store, an object a day, the last day's as many small ones, and an update has read
them; then another day's come. Somebody is erased, so that every name is asked for. S3 is another process's. The online
store answers when botocore is about to send (`OnlineStore`), so that all work of this side is measured and a million
records need no second process.
"""

import gc
import io
import time
from datetime import datetime, timedelta, timezone
from functools import partial

import numpy as np
import polars as pl

from cs_features import aws
from cs_features.customers import contacts as contacts_module
from cs_features.customers import update
from cs_features.customers.contacts import UPLOAD_MARGIN
from cs_features.customers.law import balance_customers, compare_with_training
from cs_features.customers.serving import CUSTOMERS
from cs_features.customers.update import Updated, UpdateRules, update_customers
from cs_features.environments import settings
from cs_features.erasure.subjects import Subject
from cs_features.erasure.tombstones import write_tombstone
from cs_features.local.bench.children import Job, measure_peak_mib, run_alone
from cs_features.local.bench.customers_online import OnlineStore
from cs_features.local.bench.endpoint import start_endpoint
from cs_features.local.bench.figures import Figure, Say, at_most, equal_to
from cs_features.local.bench.training_year import AS_OF, draw_history
from cs_features.orchestration.assets.customer_features import read_part
from cs_features.publishing.feature_group import EVENT_TIME, require_group
from cs_features.publishing.publication import Destination
from cs_features.publishing.records import RecordStore
from cs_features.services import Services, build_services_from, s3_client

CONTACTS, A_DAY, COMPARED = 1_300_000, 3_600, 1_000
LATE_SHARE, LATE_DAYS = 0.1, 35
ONE_DAY = timedelta(days=1)
FIRST_CUT = AS_OF.replace(hour=2) + ONE_DAY
PAUSE_SECONDS = 2.0  # S3's clock tells whole seconds
KEY, ID = "k" * 32, "0a4d2c8e-6f1b-4c35-9d27-8b5e1f3a7c60"
PARTS_OF_HOUR = 5  # SageMaker writes an object of an hour's contacts every few minutes


def measure_customers(quick: bool, say: Say) -> list[Figure]:
    scale = 20 if quick else 1
    say(f"{CONTACTS // scale} contacts served, then a day of {A_DAY // scale}")
    arguments = {"contacts": CONTACTS // scale, "a_day": A_DAY // scale, "compared": COMPARED // scale}
    with start_endpoint() as service:
        run_alone(service, Job(put_year, {"contacts": CONTACTS // scale}), 600)
        found = run_alone(service, Job(update_year, arguments, {"CS_FEATURES_TOMBSTONE_KEY": KEY}), 3_000)
    day = f"{found['written']:.0f} of {found['served']:.0f} customers written, {found['calls']:.0f} calls"
    return [
        at_most("daily update of customers: seconds of CPU", found["cpu"], 10, lambda value: f"{value:.1f} s", day),
        Figure("daily update: seconds on the clock", f"{found['seconds']:.1f} s", found["seconds"]),
        Figure("first update: seconds of CPU", f"{found['first_cpu']:.0f} s", found["first_cpu"]),
        at_most("first update: peak memory", found["peak_mib"], 2048, lambda value: f"{value:.0f} MiB"),
        equal_to("customers served otherwise than trained", found["differing"], 0, f"{found['compared']:.0f} compared"),
        equal_to("customers that the law misses", found["misses"], 0),
    ]


def put_year(contacts: int) -> None:
    """In a process of its own: the memory of who draws it is not an update's."""
    services = build_services_from(settings())
    _put_history(services, "year", draw_history(contacts, contacts * 2 // 5).rows.with_columns(part=0))


def update_year(contacts: int, a_day: int, compared: int) -> dict[str, float]:
    """In a process of its own: a first update of everybody, and the one of the next day."""
    services = build_services_from(settings())
    customers = contacts * 2 // 5
    write_tombstone(
        services.data.bucket(), Subject(until=AS_OF, customer_id="17", interaction_ids=frozenset({ID})), KEY
    )
    day_before = _draw_day(a_day, customers, FIRST_CUT - ONE_DAY)
    is_early = pl.col("write_time") < (FIRST_CUT - UPLOAD_MARGIN).replace(tzinfo=None)
    _put_day(services, "early", day_before.filter(is_early))
    early_is_put = datetime.now(timezone.utc)
    time.sleep(PAUSE_SECONDS)
    _put_day(services, "late", day_before.filter(~is_early))
    first, first_cpu, _ = _update(services, FIRST_CUT, online := OnlineStore())
    peak = measure_peak_mib()
    served = len(first.decision.expected)
    # All objects are younger here than they would be: what was put before the last hour is not read again.
    vars(contacts_module)["UPLOAD_MARGIN"] = first.moment.began - early_is_put
    del first
    gc.collect()
    gc.freeze()  # a day's update is a process of its own, which has no year's objects to look through
    _put_day(services, "day", _draw_day(a_day, customers, FIRST_CUT))
    before = online.calls
    updated, cpu, seconds = _update(services, FIRST_CUT + ONE_DAY, online)
    calls = online.calls - before
    store = RecordStore(online.attach(services.customer_feature_group.runtime()), "second", CUSTOMERS)
    found, balance = compare_with_training(updated, store, compared), balance_customers(updated)
    return {
        "cpu": cpu,
        "seconds": seconds,
        "first_cpu": first_cpu,
        "peak_mib": peak,
        "served": served,
        "written": len(updated.decision.plan.write),
        "calls": calls,
        "compared": found.asked,
        "differing": found.missing + found.differing,
        "misses": balance.unserved + balance.unwithdrawn + balance.kept,
    }


def _update(services: Services, cut: datetime, online: OnlineStore) -> tuple[Updated, float, float]:
    """With its seconds of CPU and on the clock, the checks' included."""
    vars(update)["find_cut"] = lambda now: cut  # the history ends in the past
    second = services.customer_feature_group
    store = RecordStore(online.attach(second.runtime()), second.name, CUSTOMERS)
    rules = UpdateRules(window_days=LATE_DAYS, max_withdrawn_share=0.05, read_tombstones=services.data.tombstones)
    started, cpu = time.monotonic(), time.process_time()
    destination = Destination(store, require_group(second.control_plane(), second.name, CUSTOMERS))
    read = partial(read_part, services.feature_group.name)
    updated = update_customers(services.data.tables(), read, destination, rules)
    balance_customers(updated)
    compare_with_training(updated, store)
    return updated, time.process_time() - cpu, time.monotonic() - started


# --- what lies in the buckets -----------------------------------------------------------------


def _draw_day(count: int, customers: int, begin: datetime) -> pl.DataFrame:
    """Contacts told in the day from `begin`, a tenth of them days late; `part` says in which object each lies."""
    dice = np.random.default_rng(begin.day)
    rows = draw_history(count, customers, seed=begin.day).rows
    late = np.where(dice.random(count) < LATE_SHARE, dice.integers(1, LATE_DAYS, count), 0)
    first = np.datetime64(begin.replace(tzinfo=None), "us")
    told = first + dice.integers(0, 86_400 * 10**6, count).astype("timedelta64[us]")
    happened = told - late.astype("timedelta64[D]") - np.timedelta64(30, "m")
    return rows.with_columns(
        interaction_id=pl.lit(f"{begin:%d}-") + pl.col("interaction_id"),
        event_time=pl.Series(happened).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
        api_invocation_time=pl.Series(told),
        write_time=pl.Series(told),
        part=pl.Series(dice.integers(0, PARTS_OF_HOUR, count)),
    )


def _put_day(services: Services, name: str, rows: pl.DataFrame) -> None:
    _put_history(services, name, rows)
    _put_manifests(services, rows)


def _put_history(services: Services, name: str, rows: pl.DataFrame) -> None:
    """In folders by day and hour as SageMaker's; rows of one part and day of a year's history lie in one object."""
    described = aws.client("sagemaker").describe_feature_group(FeatureGroupName=services.feature_group.name)
    uri = described["OfflineStoreConfig"]["S3StorageConfig"]["ResolvedOutputS3Uri"]
    bucket, prefix = uri.removeprefix("s3://").split("/", 1)
    digits = len("2026-11-01") if rows["part"].n_unique() == 1 else len("2026-11-01T02")
    dated = rows.with_columns(when=pl.col(EVENT_TIME).str.slice(0, digits))
    for (when, part), of_object in dated.partition_by("when", "part", as_dict=True, include_key=False).items():
        moment = datetime.fromisoformat(f"{when}:00" if digits > len("2026-11-01") else str(when))
        body = io.BytesIO()
        of_object.write_parquet(body)
        key = f"{prefix}/{moment:year=%Y/month=%m/day=%d/hour=%H}/{name}-{part}.parquet"
        s3_client().put_object(Bucket=bucket, Key=key, Body=body.getvalue())


def _put_manifests(services: Services, rows: pl.DataFrame) -> None:
    """What says that these days were published; of what is in them nothing is read."""
    for day in rows[EVENT_TIME].str.slice(0, len("2026-11-01")).unique():
        services.data.bucket().put(f"feature_store/country=NL/date={day}/data.parquet", b"")
