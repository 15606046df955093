"""Where moto falls short of AWS, of an exact replay or of speed, mended in place.

Only what cannot be had from moto's settings belongs here, each with its reason. The names that are
replaced are moto 5.2's; one that a newer moto no longer has is an error at the start.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import moto.backends
import moto.core.serialize
import moto.s3.models
import moto.sagemaker.models
import moto.sagemaker.responses
import moto.sns.models
from moto.core.responses import ActionResult
from moto.moto_api._internal import mock_random
from moto.sagemaker.exceptions import ResourceNotFound

_now: float | None = None


@contextmanager
def fix_clock_and_seed(now: float, seed: int) -> Iterator[None]:
    """Inside, moto's clock stands at `now` (Unix seconds) and its identifiers follow from `seed`.

    For live requests as for replayed ones: only so is a replay exact, and no clock of the process is
    moved under the feet of other threads. One thread at a time.
    """
    global _now
    _now = now
    mock_random.seed(seed)
    try:
        yield
    finally:
        _now = None


@functools.cache
def mend_moto() -> None:
    """Replace moto's functions; further calls do nothing."""
    modules = tuple(moto.backends.list_of_moto_modules())
    bucket, upload = moto.s3.models.FakeBucket, moto.s3.models.FakeMultipart
    responses, subscription = moto.sagemaker.responses.SageMakerResponse, moto.sns.models.Subscription
    replacements: list[tuple[Any, str, Callable[..., Any]]] = [
        *((module, "utcnow", _moto_utcnow) for module in (moto.s3.models, moto.sagemaker.models, moto.sns.models)),
        # Read from the disk for each request: a third of the time of a PUT.
        (moto.backends, "list_of_moto_modules", lambda: modules),
        # Each time of a listing is parsed from its own spelling: half of what a listing costs.
        (
            moto.core.serialize,
            "parse_to_aware_datetime",
            functools.lru_cache(10_000)(moto.core.serialize.parse_to_aware_datetime),
        ),
        # Looked for in the class for each call of SageMaker, SNS and STS.
        (
            moto.core.responses,
            "method_names_from_class",
            functools.cache(moto.core.responses.method_names_from_class),
        ),
        # Both by-pass the clock and the seed that everything else in moto goes through.
        (bucket, "__init__", _run_after(bucket.__init__, _set_creation_date)),
        (upload, "__init__", _run_after(upload.__init__, _set_upload_id)),
        (subscription, "__init__", _run_after(subscription.__init__, _count_subscription)),
        (responses, "create_feature_group", _run_after(responses.create_feature_group, _keep_online_store_config)),
        (responses, "describe_feature_group", _describe_feature_group),
    ]
    for owner, name, replacement in replacements:
        if not hasattr(owner, name):
            raise RuntimeError(f"This moto has no {owner.__name__}.{name}; see cs_features/local/moto_gaps.py.")
        setattr(owner, name, replacement)


def _moto_time() -> datetime:
    return datetime.fromtimestamp(time.time() if _now is None else _now, timezone.utc)


def _moto_utcnow() -> datetime:
    return _moto_time().replace(tzinfo=None)


def _run_after(function: Callable[..., Any], after: Callable[[Any], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call_both(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = function(self, *args, **kwargs)
        after(self)
        return result

    return call_both


def _set_creation_date(bucket: Any) -> None:
    bucket.creation_date = _moto_time()


def _set_upload_id(upload: Any) -> None:
    upload.id = mock_random.get_random_string(64)


def _count_subscription(subscription: Any) -> None:
    subscription.topic.subscriptions_confimed += 1  # moto's spelling; it never counts


def _feature_group(response: Any) -> Any:
    name = response._get_param("FeatureGroupName").rpartition("/")[2]  # a name or an ARN
    for group in response.sagemaker_backend.feature_groups.values():
        if group.feature_group_name == name:
            return group
    raise ResourceNotFound(message=f"Resource Not Found: Amazon SageMaker can't find a FeatureGroup with name {name}")


def _keep_online_store_config(response: Any) -> None:
    # moto drops it, and with it whether there is an online store at all.
    _feature_group(response).online_store_config = response._get_param("OnlineStoreConfig")


def _describe_feature_group(response: Any) -> ActionResult:
    # moto answers an unknown group with a KeyError, and knows neither store's configuration or status.
    group = _feature_group(response)
    description = group.describe() | {"OfflineStoreStatus": {"Status": "Active"}}
    if group.online_store_config:
        description["OnlineStoreConfig"] = group.online_store_config
    return ActionResult(description)
