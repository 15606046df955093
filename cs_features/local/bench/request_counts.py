"""Requests that this process makes of S3, by kind: the operation and the folder that it concerns.

For use in a client process, before the product makes its client. Not here: what is counted for.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import boto3

Result = TypeVar("Result")

_KINDS = {"GetObject": "get", "PutObject": "put", "ListObjectsV2": "list", "DeleteObjects": "delete"}


class RequestCounter:
    """Counts from when it is made; a retry of botocore is no request of its own."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        if boto3.DEFAULT_SESSION is None:
            boto3.setup_default_session()
        boto3.DEFAULT_SESSION._session.register("provide-client-params.s3.*", self._count_request)

    def _count_request(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        place = str(params.get("Key") or params.get("Prefix") or "").split("/", 1)[0]
        self.counts[f"{_KINDS.get(model.name, model.name)} {place}".strip()] += 1

    def count_during(self, do: Callable[[], Result]) -> tuple[Result, Counter[str]]:
        """What `do` returns, and the requests that were made meanwhile."""
        before = Counter(self.counts)
        return do(), self.counts - before


def describe_counts(counts: Mapping[str, float], a: float = 1.0) -> str:
    """The kinds, the most frequent first; each divided by `a`."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count / a:.3g} {kind}" for kind, count in ordered)
