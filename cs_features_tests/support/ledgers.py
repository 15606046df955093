"""For the ledger's tests: outcomes to keep, ledgers to open, and an S3 that refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError
from hypothesis import strategies as st

from cs_features.extraction.engine import Outcome
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.ledger_lines import Askings
from cs_features.extraction.pricing import TokenUsage
from cs_features.s3 import Bucket
from cs_features.schemas import Reason
from cs_features_tests.support.desk import GOOD

FOLDER = "country=NL/date=2025-03-04"
ONE_CALL = TokenUsage(input_tokens=100, cache_read_tokens=2_000, cache_write_tokens=10, output_tokens=50)


def answered(number: int | str, text: str = "") -> Outcome:
    answer = {**GOOD, "summary": text or f"Summary {number}."}
    return Outcome(str(number), answer=answer, usage=ONE_CALL, cost_usd=0.001, latency_ms=7, attempts=1)


def failed(number: int | str, reason: Reason = Reason.INVALID_ANSWER) -> Outcome:
    return Outcome(str(number), error=reason, detail="d", usage=ONE_CALL, cost_usd=0.001, attempts=2)


def objects_of(bucket: str) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix="ledger/").get("Contents", [])
    return [item["Key"] for item in found]


def totals_of(bucket: str) -> dict[str, Outcome]:
    """What was paid for each request, also where nothing else is known of it."""
    s3 = boto3.client("s3")
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in objects_of(bucket)]
    return Askings(line for body in bodies for line in body.splitlines()).totals


def opened(bucket: str, journals: Path, s3: Any = None) -> Ledger:
    return Ledger(Bucket(s3 or boto3.client("s3"), bucket, "CS_FEATURES_DATA_BUCKET"), FOLDER, journals)


class Refusing:
    """S3 as a boto3 client has it, except that it refuses what `refuses` says."""

    def __init__(self, refuses: Callable[[str], bool]) -> None:
        self._s3 = boto3.client("s3")
        self._refuses = refuses

    def __getattr__(self, operation: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._refuses(operation):
                response = {"Error": {"Code": "SlowDown", "Message": "Please reduce your request rate."}}
                raise ClientError(response, operation)  # type: ignore[arg-type]
            return getattr(self._s3, operation)(*args, **kwargs)

        return call


texts = st.text(max_size=40)
outcomes = st.builds(
    Outcome,
    request_hash=st.sampled_from("abcdef"),
    answer=st.none() | st.fixed_dictionaries({"summary": texts, "urgency_score": st.floats(0, 1)}),
    raw_answer=st.none(),  # a refused answer is kept nowhere
    error=st.sampled_from(sorted(set(Reason) - {Reason.SERVICE_FAILED})),
    detail=st.none() | texts,
    usage=st.builds(TokenUsage, *[st.integers(0, 10**6)] * 4),
    cost_usd=st.floats(0, 10),
    latency_ms=st.integers(0, 10**6),
    attempts=st.integers(0, 60),
)
