"""Everything breaks at once, through the whole chain: who is lost, who is doubled, what the online store holds.

Fifteen partitions of short interactions, with files delivered twice, files replaced and documents that nobody
can read, on a local AWS whose S3, Bedrock and Feature Store fail one or two calls in a hundred. Bedrock has
storms of 429 and 503 besides, and runs are killed with SIGKILL wherever they are and started again.

What came of it is counted here from the landed bytes, the tables and the online store's own database. The
product's reader, its checks and what its runs say of themselves are not asked. The request quota is stated,
and high: one that is found by adapting would take each storm for its limit.
"""

import gzip
import json
import mmap
import os
import random
import signal
import sqlite3
import struct
import tempfile
import threading
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from cs_features.local.bench.children import Job, alone
from cs_features.local.bench.client import DAY, POISON, document
from cs_features.local.bench.endpoint import START_SECONDS, Endpoint
from cs_features.local.bench.figures import Figure, Say, exactly
from cs_features.local.bench.kills import _fork
from cs_features.local.converse import ConverseRequest, Fault, Reply, Throttle
from cs_features.local.feature_store import Faults
from cs_features.local.processes import LocalProblem, child
from cs_features.local.provision import provision
from cs_features.local.scripted import Script, ScriptedAnswerer
from cs_features.local.stack import LocalStack
from cs_features.partitions import Partition
from cs_features.schemas import Reason
from cs_features.storage import Tables

PARTITIONS = [
    Partition(country, DAY + timedelta(days=days)) for days in range(3) for country in ("BE", "ES", "FR", "NL", "PL")
]
GROUP = "cs-interaction-features"
SCRIPT = Script(
    faults={"500": 0.005, "503": 0.005, "408": 0.003, "424": 0.002, "429": 0.003, "drop": 0.002},
    malformed_rate=0.01,
    refusal_rate=0.001,
    max_tokens_rate=0.001,
    poison=POISON,
)
STORMS = 8
STORM_SECONDS = 2.0
SETTINGS = {"CS_FEATURES_REQUESTS_PER_MINUTE": "60000", "CS_FEATURES_MAX_COST_USD": "1000"}
# Where a kill is to fall, and how often: the steps that write something, the longer ones more often.
PLACES = {
    "raw_interactions": 2,
    "llm_extractions": 5,
    "validation": 3,
    "validated_features_conservation": 2,
    "feature_store": 5,
}
LIFE_SECONDS = 300
MAX_TRIES = 8
BROKEN = "broken"  # the customer of every document that must not pass


def faults(quick: bool, say: Say) -> list[Figure]:
    count, kills = (2_000, 10) if quick else (20_000, 50)
    server = Job(serve, {"storm_every": count // STORMS})
    with stack_of(server) as service:
        said = [time.monotonic()]

        def look() -> None:
            if time.monotonic() - said[0] > 20:
                said[0] = time.monotonic()
                done = (service.folder / "progress").read_text() if (service.folder / "progress").exists() else ""
                say(f"{service.stats().answered} calls answered; {done}")

        arguments = {"count": count, "kills": kills, "progress": str(service.folder / "progress")}
        result = alone(service, Job(process_all, arguments, SETTINGS), 3_000, look)
        say("counting")
        tallies = [_tally(service, partition) for partition in PARTITIONS]
        differences = _online_differences(service, tallies)
        broken_calls = httpx.get(
            f"{service.environment['AWS_ENDPOINT_URL_BEDROCK_RUNTIME']}/_local/feature-store/stats", timeout=30
        ).json()["errors"]
        stats = service.stats()
    return _figures(result, tallies, differences, kills, f"{stats.faults + stats.throttled} Bedrock", broken_calls)


def _figures(
    result: dict[str, Any], tallies: list["Tally"], differences: int, kills: int, bedrock: str, store: dict[str, int]
) -> list[Figure]:
    reasons = sum((tally.reasons for tally in tallies), Counter[str]())
    duplicates = sum(tally.duplicates for tally in tallies)
    validated = sum(len(tally.validated) for tally in tallies)
    landed = sum(tally.documents for tally in tallies)
    runs = f"{result['failed']} failed by themselves, {result['unscathed']} ended before their kill"
    where = ", ".join(f"{count} {place}" for place, count in sorted(result["where"].items()))
    met = f"calls that failed: {bedrock}, {sum(store.values())} Feature Store; S3 2 %"
    return [
        Figure("documents", f"{landed:,}: {validated:,} validated, {duplicates:,} exact duplicates; {met}", landed),
        exactly("kills -9", result["kills"], kills, where),
        Figure("runs needed", f"{result['runs']} for {len(tallies)} partitions ({runs})", result["runs"]),
        exactly("lost documents", sum(tally.lost for tally in tallies), 0),
        exactly("doubled documents", sum(tally.doubled for tally in tallies), 0),
        exactly("partitions whose conservation holds", sum(tally.holds for tally in tallies), len(tallies)),
        exactly("differences between online store and validated rows", differences, 0),
        exactly("rejected without a typed reason", sum(tally.untyped for tally in tallies), 0, str(dict(reasons))),
    ]


# --- a stack of one's own ---------------------------------------------------------------------


@contextmanager
def stack_of(server: Job) -> Iterator[Endpoint]:
    """What `endpoint()` is for `python -m cs_features.local`, for a stack that a function of ours serves.

    `server.function` gets the folder for its state as `state`, and calls `announce_and_wait`.
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CS_FEATURES_", "AWS_"))}
    clean["PYTHONWARNINGS"] = "ignore"
    with tempfile.TemporaryDirectory(prefix="cs-features-bench-") as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        clean["TMPDIR"] = str(folder / "tmp")
        function = f"{server.function.__module__}:{server.function.__qualname__}"
        arguments = json.dumps({"state": str(folder / "state"), **server.arguments})
        log = folder / "endpoint.log"
        command = ["cs_features.local.bench.children", function, arguments, str(folder / "served.json")]
        with child(command, clean, log) as process:
            announced = folder / "state" / "stack.json"
            deadline = time.monotonic() + START_SECONDS
            while not announced.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise LocalProblem(f"The stack did not start: {log.read_text()[-700:]}")
                time.sleep(0.05)
            environment = {**clean, **json.loads(announced.read_text())}
            with httpx.Client(base_url=environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"], timeout=30) as http:
                yield Endpoint(folder, environment, http)


def announce_and_wait(stack: LocalStack, state: str) -> None:
    """In a stack's process: say that it is ready, and keep it until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    folder = Path(state)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stack.draft").write_text(json.dumps(stack.environment))
    (folder / "stack.draft").rename(folder / "stack.json")
    stop.wait()


def serve(state: str, storm_every: int) -> None:
    """In a process of its own: the local AWS at its worst."""
    with LocalStack(
        Path(state),
        answerer=_Stormy(storm_every),
        faults=Faults(error_rate=0.02, unprocessed_rate=0.02, seed=1),
        s3_error_rate=0.02,
    ) as stack:
        provision(stack.environment)
        announce_and_wait(stack, state)


class _Stormy(ScriptedAnswerer):
    """After so many calls each, a storm: for some seconds nothing but 429 or, every other time, 503."""

    def __init__(self, every: int) -> None:
        super().__init__(SCRIPT)
        self._every = every
        self._calls = self._storms = 0
        self._until = 0.0

    async def answer(self, request: ConverseRequest) -> Reply:
        self._calls += 1
        if self._calls % self._every == 0:
            self._storms += 1
            self._until = time.monotonic() + STORM_SECONDS
        if time.monotonic() < self._until:
            if self._storms % 2:
                raise Throttle("requests")
            raise Fault(503, "ServiceUnavailableException", "Bedrock is unable to process your request.")
        return await super().answer(request)


def _patient_s3(environment: Mapping[str, str]) -> Any:
    """For landing and counting, which no fault may end: the product has retries of its own."""
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 12}),
    )


# --- what lands -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Delivered:
    """Bodies by file name: what lands before the first run, and what lands later, under old and new names."""

    first: dict[str, bytes]
    later: dict[str, bytes]


def deliveries(partition: Partition, count: int) -> Delivered:
    """About `count` interactions in six files; some files come twice, one is replaced, some lines are broken."""
    number = (partition.date - DAY).days * 1_000_000
    documents = [_interaction(partition, number + each, poisoned=each == 7) for each in range(count)]
    files = [documents[start::6] for start in range(6)]
    bodies = {f"part-{place}.jsonl": _jsonl(file) for place, file in enumerate(files)}
    bodies["part-0.jsonl"] += b"\n" + b"\n".join(_broken(partition, files[0][1])) + b"\n"
    first = {(f"{name}.gz" if place % 2 else name): body for place, (name, body) in enumerate(bodies.items())}
    first = {name: gzip.compress(body) if name.endswith(".gz") else body for name, body in first.items()}
    extra = gzip.compress(_jsonl(_broken_customer(_interaction(partition, number + 800_000 + n)) for n in range(20)))
    first |= {
        "redelivered.jsonl.gz": first["part-1.jsonl.gz"],
        "a-copy-unzipped.jsonl": bodies["part-3.jsonl"],
        "cut-off.jsonl.gz": first["part-5.jsonl.gz"][:-60],
        "damaged.jsonl.gz": extra[:200] + b"\0\0\0\0" + extra[204:],
        "notes.csv": b"interaction_id,text\n",
        "one.json": json.dumps(_interaction(partition, number + 500_000), indent=1).encode(),
        "_SUCCESS": b"done",
    }
    revised = [_revised(place, each) for place, each in enumerate(files[2]) if place % 10 != 9]
    revised += [_interaction(partition, number + 600_000 + each) for each in range(max(1, count // 60))]
    later = {"part-2.jsonl": _jsonl(revised), "z-copy.jsonl": first["part-4.jsonl"], "part-6.jsonl": _jsonl(revised)}
    return Delivered(first, later)


def _interaction(partition: Partition, number: int, *, poisoned: bool = False) -> dict[str, Any]:
    made = document(number, partition.country, poisoned=poisoned)
    moment = made["occurred_at"].replace(DAY.isoformat(), partition.date.isoformat())
    # Of its own, so that a row says which document it comes from.
    return {**made, "occurred_at": moment, "customer_id": f"c-{partition.country}-{number}"}


def _revised(place: int, made: dict[str, Any]) -> dict[str, Any]:
    """Every third document says something else now, and happened at another minute, earlier or later."""
    if place % 3:
        return made
    moment = made["occurred_at"][:14] + f"{place % 60:02}:30Z"
    turns = [*made["turns"], {"speaker": "agent", "text": f"It has been found, see note {place}."}]
    return {**made, "occurred_at": moment, "turns": turns, "customer_id": made["customer_id"] + "-revised"}


def _broken_customer(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "customer_id": BROKEN}


def _broken(partition: Partition, other: dict[str, Any]) -> list[bytes]:
    """Lines that are not to pass, and at the end one that takes the id of `other` away from it."""
    number = (partition.date - DAY).days * 1_000_000 + 700_000
    one, *rest = (_broken_customer(_interaction(partition, number + each)) for each in range(8))
    foreign = "FR" if partition.country != "FR" else "NL"
    wrong: list[dict[str, Any]] = [
        {key: value for key, value in rest[0].items() if key != "occurred_at"},
        {**rest[1], "channel": "fax"},
        {**rest[2], "turns": [{"speaker": "customer", "text": " "}]},
        {**rest[3], "country": foreign},
        {**rest[4], "occurred_at": f"{partition.date - timedelta(days=1)}T10:00:00Z"},
        {**rest[5], "interaction_id": "not-a-uuid"},
        {**rest[6], "turns": "none"},
    ]
    lines = [json.dumps(each).encode() for each in wrong]
    lines += [json.dumps(one).encode()[:80], b'["a", "list"]', b'{"text": "\xff\xfe"}', b"   "]
    return [*lines, json.dumps({**other, "channel": "email", "customer_id": other["customer_id"] + "-other"}).encode()]


def _jsonl(documents: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)


# --- lives and kills --------------------------------------------------------------------------


class _Place:
    """When each step of the life that goes on was started, in shared memory, which a kill leaves as it is."""

    def __init__(self, path: Path, steps: list[str]) -> None:
        self._slots = {step: slot for slot, step in enumerate(steps)}
        self._size = 8 * len(steps)
        path.write_bytes(bytes(self._size))
        self._file = path.open("r+b")
        self._bytes = mmap.mmap(self._file.fileno(), self._size)

    def clear(self) -> None:
        self._bytes[: self._size] = bytes(self._size)

    def note(self, step: str) -> None:
        struct.pack_into("<d", self._bytes, 8 * self._slots[step], time.monotonic())

    def started(self) -> dict[str, float]:
        """Steps in the order in which they were started, with when."""
        times = struct.unpack_from(f"<{len(self._slots)}d", self._bytes)
        return dict(sorted(((s, t) for s, t in zip(self._slots, times, strict=True) if t), key=lambda pair: pair[1]))


@dataclass
class _Lives:
    """Runs of the job, each in a fork of this warm process."""

    job: Any
    place: _Place
    rng: random.Random = field(default_factory=lambda: random.Random(11))
    lasted: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PLACES, 0.5))
    runs: int = 0
    kills: int = 0
    failed: int = 0
    unscathed: int = 0
    where: Counter[str] = field(default_factory=Counter)

    def kill_one(self, partition: Partition) -> None:
        """Runs until one of them is killed; those that end before their kill are counted and go unscathed."""
        for attempt in range(MAX_TRIES):
            life = self._start(partition)
            # The longest that a step took is long for a rerun, which has its answers: sooner each time.
            self._reach_a_place(life, 0.5**attempt)
            started = self.place.started()
            os.killpg(life, signal.SIGKILL)  # one that has ended by itself does not notice
            ended = os.waitid(os.P_PID, life, os.WEXITED | os.WNOWAIT)
            if ended is None or ended.si_code != os.CLD_KILLED:
                self._reap(life)
                self.unscathed += 1
                continue
            os.waitpid(life, 0)
            self.kills += 1
            self.where[next(reversed(started), "before the first step")] += 1
            return
        raise RuntimeError(f"{partition}: no run lasted until its kill")

    def until_it_succeeds(self, partition: Partition) -> None:
        for _ in range(MAX_TRIES):
            life = self._start(partition)
            self._wait(life, lambda: False)
            if self._reap(life):
                return
        raise RuntimeError(f"{partition} did not succeed in {MAX_TRIES} runs; see above")

    def once(self, partition: Partition, meanwhile: Callable[[], None]) -> None:
        """One run that is not killed, however it ends; `meanwhile` happens at a random place of it."""
        life = self._start(partition)
        self._reach_a_place(life)
        meanwhile()
        self._wait(life, lambda: False)
        self._reap(life)

    def _start(self, partition: Partition) -> int:
        self.place.clear()
        self.runs += 1
        return _fork(partial(_live, self.job, partition, self.place))

    def _reach_a_place(self, life: int, haste: float = 1.0) -> None:
        (step,) = self.rng.choices(list(PLACES), list(PLACES.values()))
        self._wait(life, lambda: step in self.place.started())
        if begun := self.place.started().get(step):
            goal = begun + self.rng.uniform(0, self.lasted[step]) * haste
            self._wait(life, lambda: time.monotonic() >= goal)

    def _wait(self, life: int, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIFE_SECONDS
        while not reached() and not self._over(life):
            if time.monotonic() > deadline:
                os.killpg(life, signal.SIGKILL)
                raise RuntimeError(f"a run was not done after {LIFE_SECONDS} s, at {self.place.started()}")
            time.sleep(0.002)

    def _over(self, life: int) -> bool:
        return os.waitid(os.P_PID, life, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _reap(self, life: int) -> bool:
        """Whether a run that has ended by itself succeeded; learns how long its steps lasted."""
        _, status = os.waitpid(life, 0)
        started = list(self.place.started().items())
        for (step, begun), (_, next_begun) in zip(started, [*started[1:], ("", time.monotonic())], strict=True):
            if step in PLACES:
                self.lasted[step] = max(self.lasted[step], next_begun - begun)
        self.failed += status != 0
        return status == 0


def _live(job: Any, partition: Partition, place: _Place) -> None:
    """One life: the job for one partition, in process, with an instance that knows of no other life."""
    import dagster as dg

    run_id = str(uuid.uuid4())

    def note(event: dg.EventLogEntry) -> None:
        if event.dagster_event and event.dagster_event.is_step_start and event.step_key:
            place.note(event.step_key)

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_event_listener(run_id, note)
        result = job.execute_in_process(
            partition_key=partition.key, instance=instance, run_id=run_id, raise_on_error=False
        )
        if not result.success:
            failures = [
                f"{event.step_key}: {str(event.step_failure_data.error)[-1500:]}"
                for event in result.all_events
                if event.is_step_failure
            ]
            raise RuntimeError("; ".join(failures))


def process_all(count: int, kills: int, progress: str) -> dict[str, Any]:
    """In a client process that has imported everything and started no thread: land, fork, kill, repeat."""
    from cs_features.definitions import build_defs

    job = build_defs().resolve_job_def("process_interactions")
    steps = [node.name for node in job.nodes]
    lives = _Lives(job, _Place(Path(os.environ["TMPDIR"]) / "place", steps))
    s3 = _patient_s3(os.environ)

    def land(partition: Partition, files: dict[str, bytes]) -> None:
        for name, body in files.items():
            s3.put_object(Bucket="cs-landing", Key=f"interactions/{partition.folder}/{name}", Body=body)

    for number, partition in enumerate(PARTITIONS):
        Path(progress).write_text(f"{partition}: {lives.runs} runs, {lives.kills} kills, {lives.failed} failed")
        delivered = deliveries(partition, count // len(PARTITIONS))
        share = kills * (number + 1) // len(PARTITIONS) - lives.kills
        land(partition, delivered.first)
        for _ in range(share // 2):
            lives.kill_one(partition)
        # What lands later lands during a run, between two runs, or when all is done.
        if number % 3 == 0:
            lives.once(partition, partial(land, partition, delivered.later))
        else:
            if number % 3 == 1:
                lives.until_it_succeeds(partition)
            land(partition, delivered.later)
        for _ in range(share - share // 2):
            lives.kill_one(partition)
        lives.until_it_succeeds(partition)
    return {
        "runs": lives.runs,
        "kills": lives.kills,
        "failed": lives.failed,
        "unscathed": lives.unscathed,
        "where": lives.where,
    }


# --- counting from outside --------------------------------------------------------------------


@dataclass
class Tally:
    """One partition, counted from its landed bytes and its tables."""

    documents: int
    duplicates: int
    lost: int
    doubled: int
    untyped: int
    holds: bool
    reasons: Counter[str]
    validated: list[dict[str, Any]]


def _tally(service: Endpoint, partition: Partition) -> Tally:
    s3 = _patient_s3(service.environment)
    tables = Tables(s3, "cs-data")
    validated = _rows(tables, "validated_features", partition)
    rejected = _rows(tables, "rejected_records", partition)
    # Which document stands at each place; the same content under the same id is the same document.
    content_at = dict(_landed(s3, partition))
    by_row = {content[:2]: content for content in content_at.values() if len(content) == 3}
    doors = Counter(content_at.get((row["source_uri"], row["source_line"]), "none") for row in rejected)
    # A broken document's customer stands for no document: if it were validated, that is one row too many.
    doors.update(by_row.get((row["interaction_id"], row["customer_id"]), "none") for row in validated)
    contents = set(content_at.values())
    duplicates = len(content_at) - len(contents)
    return Tally(
        documents=len(content_at),
        duplicates=duplicates,
        lost=sum(doors[content] == 0 for content in contents),
        doubled=sum(count - (content != "none") for content, count in doors.items() if count),
        untyped=sum(not _typed(row) for row in rejected),
        holds=len(content_at) == len(validated) + len(rejected) + duplicates,
        reasons=Counter(row["reason"] for row in rejected),
        validated=validated,
    )


def _rows(tables: Tables, table: str, partition: Partition) -> list[dict[str, Any]]:
    frame = tables.read(table, partition)
    return [] if frame is None else frame.to_dicts()


def _typed(row: dict[str, Any]) -> bool:
    known = {reason.value: reason for reason in Reason}.get(row["reason"])
    return known is not None and known.stage == row["stage"] and bool(row["detail"])


Content = tuple[Any, ...]


def _landed(s3: Any, partition: Partition) -> Iterator[tuple[tuple[str, int], Content]]:
    """((uri, line), what the document is): (id, customer, content), or its place when it has no id."""
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="cs-landing", Prefix=f"interactions/{partition.folder}/"
    )
    for key in [item["Key"] for page in pages for item in page.get("Contents", []) if item["Size"]]:
        if key.rsplit("/", 1)[-1].startswith(("_", ".")):
            continue
        body = s3.get_object(Bucket="cs-landing", Key=key)["Body"].read()
        uri = f"s3://cs-landing/{key}"
        for line, text in _texts(key, body):
            yield (uri, line), _identity(text) or (uri, line)


def _identity(text: bytes | None) -> Content | None:
    try:
        found = json.loads(text or b"")
    except ValueError:
        return None
    if not isinstance(found, dict) or "interaction_id" not in found:
        return None
    customer = None if found["customer_id"] == BROKEN else found["customer_id"]
    return found["interaction_id"], customer, json.dumps(found, sort_keys=True)


def _texts(key: str, body: bytes) -> list[tuple[int, bytes | None]]:
    """(line, document) of a file; None for what cannot be had out of it."""
    if key.endswith(".json"):
        return [(1, body)]
    cut = False
    if key.endswith(".gz"):
        unzip = zlib.decompressobj(31)
        try:
            body = unzip.decompress(body)
        except zlib.error:
            return [(1, None)]
        cut = not unzip.eof
    elif not key.endswith(".jsonl"):
        return [(1, None)]
    *whole, last = enumerate(body.split(b"\n"), start=1)
    found: list[tuple[int, bytes | None]] = [(line, text) for line, text in whole if text.strip()]
    if cut:
        found.append((last[0], None))
    elif last[1].strip():
        found.append(last)
    return found


def _online_differences(service: Endpoint, tallies: list[Tally]) -> int:
    """Records that only one side has, or that differ in a value, as the online store's database holds them."""
    expected = {row["interaction_id"]: row for tally in tallies for row in tally.validated}
    path = service.folder / "state" / "feature_store.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        query = "SELECT identifier, record FROM online WHERE feature_group = ? AND record IS NOT NULL"
        online = {key: json.loads(record) for key, record in database.execute(query, (GROUP,))}
    differing = sum(not _same(expected[key], online[key]) for key in expected.keys() & online.keys())
    return len(expected.keys() ^ online.keys()) + differing


def _same(row: dict[str, Any], record: dict[str, str]) -> bool:
    """Whether a record has each value of a row, and no more."""
    values: dict[str, Any] = dict(record)
    for name in values.keys() & {"urgency_score", "csat_indicator"}:
        values[name] = float(values[name])
    if "event_time" in values:
        values["event_time"] = datetime.fromisoformat(values["event_time"].replace("Z", "+00:00"))
    return values == {name: value for name, value in row.items() if value is not None}
