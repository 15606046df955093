"""AWS clients, and what an AWS refusal means in words that say what to set.

Region, credentials and endpoints are boto3's own business. No bucket or group is named here.
"""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any

import boto3
import botocore.parsers
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from cs_features.environments import aws_region
from cs_features.errors import AccessRefused, AwsRefusal, SettingsError
from cs_features.quiet_logs import silence_debug_lines

_DENIED = "the credentials lack a permission: allow {action} to the role (deploy/template.yaml)"
# As AWS names one: "is not authorized to perform: s3:GetObject".
_PERMISSION = re.compile(
    r"\b(?:s3|sagemaker|bedrock|sns|kms|sts|glue|iam|ecs|logs|aws-marketplace|servicequotas):[A-Z][A-Za-z]{2,50}\b"
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_CODES = {
    "NoSuchBucket": "the bucket does not exist: create it, or set {setting} to one that does",
    "ResourceNotFound": "it does not exist in this account and region: create it, or set {setting}",
    "ResourceNotFoundException": "it does not exist in this account and region: create it, or set {setting}",
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "AccessForbidden": _DENIED,
    "ExpiredToken": "the credentials have expired: renew them",
    "ExpiredTokenException": "the credentials have expired: renew them",
    "InvalidAccessKeyId": "the access key does not exist: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY",
}
# The permission of an operation, where it is not called as the operation is.
_ACTIONS = {
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "DeleteObjects": "s3:DeleteObject",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "ListObjectVersions": "s3:ListBucketVersions",
}
_SERVICES = {
    "s3": ("GetObject", "PutObject"),
    "sns": ("Publish", "GetTopicAttributes"),
    "servicequotas": ("ListServiceQuotas",),
    "sagemaker": ("DescribeFeatureGroup", "BatchGetRecord", "BatchWriteRecord", "PutRecord", "DeleteRecord"),
}
# Of those and of all 401s and 403s, what passes by itself: a role's credentials are renewed, clocks are set.
_PASSING = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed"})
_REFUSING_STATUS = (401, 403)
# Left to itself botocore composes its own anew for every call, of a dozen parts: a twentieth of a call's CPU.
silence_debug_lines()  # before anybody has made a client
_USER_AGENT = f"cs-features Boto3/{boto3.__version__}"


def client(service: str, **config: Any) -> Any:
    """A boto3 client with the standard retry mode, which backs off on throttles and 5xx.

    Raises:
        SettingsError: when no region is set.
    """
    region = find_region()
    retries = {"mode": "standard", "total_max_attempts": 6}
    settings: dict[str, Any] = {"retries": retries, "user_agent": _USER_AGENT, **config}
    _prepare_session()
    return boto3.client(service, region_name=region, config=Config(**settings))


def find_region() -> str:
    """Asked here, because S3 without a region is taken for us-east-1 and not refused.

    Raises:
        SettingsError: when none is set.
    """
    region = aws_region() or boto3.Session().region_name
    if region is None:
        raise SettingsError("No AWS region: set AWS_REGION, for example eu-central-1")
    return str(region)


def _prepare_session() -> None:
    """The session of all clients that are made after it, unless somebody has set up his own."""
    if boto3.DEFAULT_SESSION is None:
        core = botocore.session.get_session()
        # A thousand objects in a listing are a thousand times; botocore has them guessed by a parser of any words that
        # may be a date, for half of the CPU of reading the listing.
        core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_aws_timestamp)
        boto3.setup_default_session(botocore_session=core)


def parse_aws_timestamp(value: Any) -> datetime:
    """The moment that botocore would read, without guessing where it is written as S3 writes it in listings."""
    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return datetime.fromisoformat(value[:-1]).replace(tzinfo=timezone.utc)
    moment: datetime = parse_timestamp(value)
    return moment


@contextmanager
def explained(what: str, setting: str) -> Iterator[None]:
    """Turn what boto3 raises inside into one sentence about `what`, which `setting` names.

    Raises:
        AccessRefused: when a permission, a key or the thing itself is missing.
        AwsRefusal: for anything else that AWS or botocore refuses.
    """
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise AwsRefusal(  # where a role gives them, they may come
            f"{what}: no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None
    except EndpointConnectionError as error:
        raise AwsRefusal(
            f"{what}: nothing answers at {error.kwargs.get('endpoint_url')}: check AWS_ENDPOINT_URL_*"
        ) from None
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        advice = _CODES.get(code, "{words}").format(
            setting=setting, action=name_missing_permission(error), words=point_to_words(error)
        )
        refusal = AccessRefused if is_access_refused(error) else AwsRefusal
        raise refusal(f"{what} ({code} at {error.operation_name}): {advice}") from error
    except (BotoCoreError, ResponseParserError) as error:
        # Its own words quote parameters and addresses, and those customers.
        raise AwsRefusal(f"{what}: {type(error).__name__} before AWS had answered") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if not was_raised_by_parser(error):
            raise
        raise AwsRefusal(f"{what}: 200 with something that is no answer of AWS: is there a proxy on the way?") from None


def was_raised_by_parser(error: BaseException) -> bool:
    """Whether botocore stumbled over an answer of another shape, such as a proxy's: it takes shapes on trust."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == botocore.parsers.__name__ for frame, _ in frames)


def name_missing_permission(error: ClientError) -> str:
    """The permission that a refusal is about. Nothing else of AWS's words is told: they may quote a value."""
    named = _PERMISSION.search(error.response.get("Error", {}).get("Message", ""))
    return named.group() if named else name_refused_action(error.operation_name)


def point_to_words(error: ClientError) -> str:
    """Where AWS's own words can be read, by whoever may read them."""
    request = str(error.response.get("ResponseMetadata", {}).get("RequestId", ""))
    known = f" of request {request}" if _REQUEST_ID.fullmatch(request) else ""
    return f"AWS's words{known} are not repeated, because they may quote a value: CloudTrail has them"


def is_access_refused(error: ClientError) -> bool:
    """Whether a permission, a key or the thing itself is missing, so that asking again changes nothing."""
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code not in _PASSING and (code in _CODES or status in _REFUSING_STATUS)


def name_refused_action(operation: str) -> str:
    """The permission that an operation needs, as a policy's statement names it."""
    named = {each: f"{service}:{each}" for service, operations in _SERVICES.items() for each in operations}
    return _ACTIONS.get(operation) or named.get(operation, operation)
