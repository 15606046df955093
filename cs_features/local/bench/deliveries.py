"""What lands in the fault storm: files delivered twice, files replaced, and documents that nobody can read."""

import gzip
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cs_features.local.bench.client import DAY, make_document
from cs_features.partitions import Partition

PARTITIONS = [
    Partition(country, DAY + timedelta(days=days)) for days in range(3) for country in ("BE", "ES", "FR", "NL", "PL")
]
BROKEN = "broken"  # the customer of every document that must not pass


@dataclass(frozen=True)
class Delivered:
    """Bodies by file name: what lands before the first run, and what lands later, under old and new names."""

    first: dict[str, bytes]
    later: dict[str, bytes]


def make_deliveries(partition: Partition, count: int) -> Delivered:
    """About `count` interactions in six files; some files come twice, one is replaced, some lines are broken."""
    number = (partition.date - DAY).days * 1_000_000
    documents = [_make_interaction(partition, number + each, poisoned=each == 7) for each in range(count)]
    files = [documents[start::6] for start in range(6)]
    bodies = {f"part-{place}.jsonl": _as_jsonl(file) for place, file in enumerate(files)}
    bodies["part-0.jsonl"] += b"\n" + b"\n".join(_broken_lines(partition, files[0][1])) + b"\n"
    first = {(f"{name}.gz" if place % 2 else name): body for place, (name, body) in enumerate(bodies.items())}
    first = {name: gzip.compress(body) if name.endswith(".gz") else body for name, body in first.items()}
    extra = gzip.compress(
        _as_jsonl(_with_broken_customer(_make_interaction(partition, number + 800_000 + n)) for n in range(20))
    )
    first |= {
        "redelivered.jsonl.gz": first["part-1.jsonl.gz"],
        "a-copy-unzipped.jsonl": bodies["part-3.jsonl"],
        "cut-off.jsonl.gz": first["part-5.jsonl.gz"][:-60],
        "damaged.jsonl.gz": extra[:200] + b"\0\0\0\0" + extra[204:],
        "notes.csv": b"interaction_id,text\n",
        "one.json": json.dumps(_make_interaction(partition, number + 500_000), indent=1).encode(),
        "_SUCCESS": b"done",
    }
    revised = [_revise_document(place, each) for place, each in enumerate(files[2]) if place % 10 != 9]
    revised += [_make_interaction(partition, number + 600_000 + each) for each in range(max(1, count // 60))]
    later = {
        "part-2.jsonl": _as_jsonl(revised),
        "z-copy.jsonl": first["part-4.jsonl"],
        "part-6.jsonl": _as_jsonl(revised),
    }
    return Delivered(first, later)


def _make_interaction(partition: Partition, number: int, *, poisoned: bool = False) -> dict[str, Any]:
    made = make_document(number, partition.country, poisoned=poisoned)
    moment = made["occurred_at"].replace(DAY.isoformat(), partition.date.isoformat())
    # Of its own, so that a row says which document it comes from.
    return {**made, "occurred_at": moment, "customer_id": f"c-{partition.country}-{number}"}


def _revise_document(place: int, made: dict[str, Any]) -> dict[str, Any]:
    """Every third document says something else now, and happened at another minute, earlier or later."""
    if place % 3:
        return made
    moment = made["occurred_at"][:14] + f"{place % 60:02}:30Z"
    turns = [*made["turns"], {"speaker": "agent", "text": f"It has been found, see note {place}."}]
    return {**made, "occurred_at": moment, "turns": turns, "customer_id": made["customer_id"] + "-revised"}


def _with_broken_customer(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "customer_id": BROKEN}


def _broken_lines(partition: Partition, other: dict[str, Any]) -> list[bytes]:
    """Lines that are not to pass, and at the end one that takes the id of `other` away from it."""
    number = (partition.date - DAY).days * 1_000_000 + 700_000
    one, *rest = (_with_broken_customer(_make_interaction(partition, number + each)) for each in range(8))
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


def _as_jsonl(documents: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)
