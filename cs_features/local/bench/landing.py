"""What a tick of the landing sensor costs over a window of a hundred thousand objects, and how large its cursor is.

A bare listing of the same objects is the measure: the sensor has to list them too, and may not add much. Both
go to the same server in turns, so that a busy neighbour disturbs both alike. The objects are put into the
server's memory directly; over HTTP that would take longer than all the rest.
"""

import statistics
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import boto3

from cs_features.environments import settings
from cs_features.local.bench.children import Job, announce_and_wait, run_alone, serve_stack
from cs_features.local.bench.figures import Figure, Say, at_most, equal_to
from cs_features.local.provision import provision_account
from cs_features.local.scripted import ScriptedAnswerer
from cs_features.local.stack import LocalStack

COUNTRIES = ("BE", "ES", "FR", "NL", "PL")
DAYS = 35
PARTITIONS = DAYS * len(COUNTRIES)
ROUNDS = 3
MAX_CURSOR_BYTES = 64 * 1024 - 1
# All partitions are asked for in the first tick, so that the cursor remembers all of them from then on.
SETTINGS = {"CS_FEATURES_LANDING_MAX_REQUESTS": str(PARTITIONS)}


def measure_landing(quick: bool, say: Say) -> list[Figure]:
    count = 10_000 if quick else 100_000
    with serve_stack(Job(serve_landed_objects, {"count": count})) as service:
        say(f"{count} objects in {PARTITIONS} partitions")
        seen = run_alone(service, Job(measure_ticks, settings=SETTINGS), 1_200)
    if seen["listed"] != [count] * ROUNDS or seen["asked"] != [PARTITIONS] + [0] * (ROUNDS - 1):
        raise RuntimeError(f"{count} objects: listed {seen['listed']}, partitions asked for {seen['asked']}")

    def ratio_of(clock: str) -> float:
        pairs = zip(seen[f"tick_{clock}"], seen[f"listing_{clock}"], strict=True)
        return statistics.median(tick / listing for tick, listing in pairs)

    tick, listing = (statistics.median(seen[f"{what}_wall"]) for what in ("tick", "listing"))
    spent = [statistics.median(seen[f"{what}_cpu"]) for what in ("tick", "listing")]
    return [
        at_most(
            "a tick / a bare listing",
            ratio_of("wall"),
            1.3,
            lambda value: f"{value:.2f}",
            f"{tick:.2f} s and {listing:.2f} s, {count:,} objects",
        ),
        Figure(
            "the same, CPU of the client alone",
            f"{ratio_of('cpu'):.2f} ({spent[0]:.2f} s and {spent[1]:.2f} s)",
            ratio_of("cpu"),
        ),
        at_most(
            "the cursor",
            max(seen["cursor_bytes"]),
            MAX_CURSOR_BYTES,
            lambda value: f"{value / 1024:.1f} KiB",
            f"{DAYS} days x {len(COUNTRIES)} countries",
        ),
        equal_to("partitions asked for by the first tick", seen["asked"][0], PARTITIONS),
    ]


def serve_landed_objects(state: str, count: int) -> None:
    """In a process of its own: the local AWS, with `count` objects that came to rest an hour ago."""
    from moto.s3.models import s3_backends

    with LocalStack(None, answerer=ScriptedAnswerer()) as stack:
        provision_account(stack.environment)
        backend = s3_backends["123456789012"]["aws"]
        today = datetime.now(timezone.utc).replace(tzinfo=None)
        for number in range(count):
            body = f'{{"interaction_id": "{number}"}}'.encode()
            landed = backend.put_object("cs-landing", _key_of(number, today.date()), body, disable_notification=True)
            landed.last_modified = today - timedelta(hours=1)
        announce_and_wait(stack, state)


def _key_of(number: int, today: date) -> str:
    """Partition after partition in turn."""
    country, day = COUNTRIES[number % len(COUNTRIES)], today - timedelta(days=number // len(COUNTRIES) % DAYS)
    return f"interactions/country={country}/date={day.isoformat()}/interaction-{number:08}.json"


def measure_ticks() -> dict[str, list[float]]:
    """In a client process: listing and tick in turns; seconds by the wall's clock and the CPU's."""
    import dagster as dg

    from cs_features.definitions import build_defs
    from cs_features.orchestration.resources import build_resources
    from cs_features.orchestration.sensors.landing import landing_sensor
    from cs_features.orchestration.sensors.landing_memory import Cursor
    from cs_features.services import build_services_from

    services, definitions = build_services_from(settings()), build_defs()
    s3 = boto3.client("s3")
    cursor: str | None = None
    seen: dict[str, list[float]] = {"listed": [], "asked": [], "cursor_bytes": []}

    def list_bucket() -> None:
        listed = 0
        for country in COUNTRIES:
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket="cs-landing", Prefix=f"interactions/country={country}/"
            )
            listed += sum(len(page.get("Contents", [])) for page in pages)
        seen["listed"].append(listed)

    with dg.DagsterInstance.ephemeral() as instance:

        def tick_sensor() -> None:
            nonlocal cursor
            # Measured is the hourly tick, which lists the window; those between list two days.
            hourly = Cursor.model_validate_json(cursor or "{}").model_copy(update={"surveyed_at": None})
            with dg.build_sensor_context(
                instance=instance,
                cursor=hourly.model_dump_json(),
                definitions=definitions,
                resources=dict(build_resources(services)),
            ) as context:
                found = landing_sensor.evaluate_tick(context)
            cursor = found.cursor
            assert cursor is not None, f"the tick was skipped: {found.skip_message}"
            seen["asked"].append(len(found.run_requests or []))
            seen["cursor_bytes"].append(len(cursor.encode()))

        # A client's first call does what no later one does again: each side makes one before.
        s3.list_objects_v2(Bucket="cs-landing", MaxKeys=1)
        services.landing.zone().list_country_folders()
        for _ in range(ROUNDS):
            _time_call(seen, "listing", list_bucket)
            _time_call(seen, "tick", tick_sensor)
    return seen


def _time_call(seen: dict[str, list[float]], what: str, do: Callable[[], Any]) -> None:
    wall, cpu = time.monotonic(), time.process_time()
    do()
    seen.setdefault(f"{what}_wall", []).append(time.monotonic() - wall)
    seen.setdefault(f"{what}_cpu", []).append(time.process_time() - cpu)
