"""The probes of access: each makes the calls that a run would make, on a thing of its own, and says what it saw.

A probe returns a sentence, or raises one of our errors whose sentence says what to do. Not here: quotas
(`preflight_quotas.py`), and in which order they are asked (`preflight.py`).
"""

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from cs_features import aws
from cs_features.customers.serving import CUSTOMERS
from cs_features.environments import aws_region
from cs_features.errors import AccessRefused, CallFailed, ConfigurationError
from cs_features.extraction.bedrock import converse, make_bedrock_client
from cs_features.extraction.pricing import find_price_list
from cs_features.publishing.feature_group import require_group
from cs_features.publishing.records import RecordStore
from cs_features.s3 import Bucket
from cs_features.services import Services

PROBE_PREFIX = "preflight/"
MAX_SKEW = timedelta(seconds=60)  # AWS refuses signatures from five minutes on; corrections are compared by seconds
LANDING_PREFIX = "interactions/"
CONNECT_SECONDS = 5


def probe_aws_credentials(services: Services) -> str:
    region = aws_region() or ""
    if services.model.model_id.startswith("eu.") and not region.startswith("eu-"):
        raise ConfigurationError(f"AWS_REGION is {region or 'not set'}: set it to a region of the EU")
    with aws.explained("Credentials", "AWS_PROFILE"):
        caller = aws.client("sts").get_caller_identity()
    return f"account {caller['Account']} in {region}, as {caller['Arn'].rsplit(':', 1)[-1]}"


def probe_clock_skew(services: Services) -> str:
    listing = services.data.bucket().list_bucket_objects(PROBE_PREFIX)
    skew = abs(datetime.now(timezone.utc) - listing.listed_at)
    if skew > MAX_SKEW:
        raise ConfigurationError(
            f"This clock and S3's are {skew.total_seconds():.0f} s apart: let NTP set it. Beyond five minutes AWS "
            "refuses every signature"
        )
    return f"within {MAX_SKEW.total_seconds():.0f} s of S3's"


def probe_landing_bucket(services: Services) -> str:
    bucket = services.landing.zone().bucket
    _require_two_buckets(services)
    folders = bucket.list_bucket_folders("")
    if folders and LANDING_PREFIX not in folders:
        raise ConfigurationError(
            f"Bucket {bucket.name} holds {folders[0]} and nothing under {LANDING_PREFIX}: set "
            "CS_FEATURES_LANDING_BUCKET to the bucket that interactions land in"
        )
    first = next(iter(bucket.iterate_bucket_objects(LANDING_PREFIX)), None)
    if first is not None:
        bucket.read(first.key)
    days = read_expiry_days(bucket)
    if days is not None and days <= services.landing.window_days:
        raise ConfigurationError(
            f"Bucket {bucket.name} lets what landed expire after {days} days, and the sensor looks back "
            f"{services.landing.window_days}: what expires would look taken away. Keep it longer, or lower "
            "CS_FEATURES_LANDING_WINDOW_DAYS"
        )
    kept = "for ever" if days is None else f"for {days} days"
    return f"{bucket.name} is listed and read; documents are kept {kept}" if first else f"{bucket.name} is empty so far"


def read_expiry_days(bucket: Bucket) -> int | None:
    """After how many days the bucket's lifecycle deletes landed documents; None for never."""
    days = [_days_of_rule(rule) for rule in bucket.read_lifecycle_rules() if rule["Status"] == "Enabled"]
    return min((each for each in days if each is not None), default=None)


def _days_of_rule(rule: dict[str, Any]) -> int | None:
    prefix = rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))
    concerns_documents = prefix.startswith(LANDING_PREFIX) or LANDING_PREFIX.startswith(prefix)
    days = rule.get("Expiration", {}).get("Days")
    return int(days) if concerns_documents and days is not None else None


def probe_data_bucket(services: Services) -> str:
    bucket = services.data.bucket()
    _require_two_buckets(services)
    if LANDING_PREFIX in bucket.list_bucket_folders(""):
        raise ConfigurationError(
            f"Bucket {bucket.name} holds {LANDING_PREFIX}, as a landing bucket does: are CS_FEATURES_DATA_BUCKET and "
            "CS_FEATURES_LANDING_BUCKET the wrong way round?"
        )
    key, body = f"{PROBE_PREFIX}{uuid.uuid4().hex}", b"written and deleted by preflight"
    bucket.put(key, body)
    try:
        if bucket.get(key) != body:
            raise ConfigurationError(f"Bucket {bucket.name} does not give back what was written to it")
    finally:
        bucket.delete([key])
    return f"{bucket.name} is listed, written, read and deleted from"


def _require_two_buckets(services: Services) -> None:
    if services.landing.bucket == services.data.name:
        raise ConfigurationError(
            f"CS_FEATURES_LANDING_BUCKET and CS_FEATURES_DATA_BUCKET are both {services.data.name}: set two buckets, "
            "because landed documents expire and tables do not"
        )


def probe_model_access(services: Services) -> str:
    """One call of a few tokens: the only way to know that calls are allowed."""
    model = services.model.capabilities()
    request = {
        "modelId": model.model_id,
        "messages": [{"role": "user", "content": [{"text": "Say OK."}]}],
        "inferenceConfig": {"maxTokens": 16},
    }
    try:
        reply = converse(make_bedrock_client(1, model.timeout_seconds), request)
    except CallFailed as error:
        raise AccessRefused(f"{model.model_id} did not answer: {error}") from None
    return f"{model.model_id} answers; this question cost ${find_price_list(model)(reply.usage):.6f}"


def probe_feature_group(services: Services) -> str:
    group = services.feature_group
    require_group(group.control_plane(), group.name)
    # Nobody has this id: what counts is that the question is allowed.
    with aws.explained(f"Records of feature group {group.name}", "CS_FEATURES_FEATURE_GROUP"):
        RecordStore(group.runtime(), group.name).read_records([str(uuid.uuid4())])
    return f"{group.name} has our features and both stores, and answers"


def probe_customer_group(services: Services) -> str:
    group = services.customer_feature_group
    if not group.name:
        return f"{CUSTOMERS.setting} is empty: no customer's features are served"
    require_group(group.control_plane(), group.name, CUSTOMERS)
    with aws.explained(f"Records of feature group {group.name}", CUSTOMERS.setting):
        RecordStore(group.runtime(), group.name, CUSTOMERS).read_records([str(uuid.uuid4())])
    return f"{group.name} has customers' features and both stores, and answers"


def probe_alert_topic(services: Services) -> str:
    arn = services.alerts.topic_arn
    if not arn:
        raise ConfigurationError("CS_FEATURES_ALERTS_TOPIC_ARN is not set: nobody would be told of an incident")
    with aws.explained(f"Topic {arn.rsplit(':', 1)[-1]}", "CS_FEATURES_ALERTS_TOPIC_ARN"):
        attributes = services.alerts.client().get_topic_attributes(TopicArn=arn)["Attributes"]
    listeners = int(attributes.get("SubscriptionsConfirmed", 0))
    if listeners == 0:
        raise ConfigurationError(
            f"Nobody listens to the topic {arn.rsplit(':', 1)[-1]}: subscribe an address, and confirm AWS's mail to it"
        )
    return f"{arn.rsplit(':', 1)[-1]} exists, {listeners} subscribed"


def probe_dagster_database(services: Services) -> str:
    host = services.history.host
    if not host:
        return "none is set: Dagster keeps its history in DAGSTER_HOME"
    import psycopg2  # where there is a database there is its driver, and nowhere else is it loaded

    token = aws.client("rds").generate_db_auth_token(DBHostname=host, Port=5432, DBUsername="dagster")
    where = {"host": host, "dbname": "dagster", "user": "dagster", "password": token, "sslmode": "require"}
    try:
        psycopg2.connect(**where, connect_timeout=CONNECT_SECONDS).close()
    except psycopg2.OperationalError as error:
        raise AccessRefused(
            f"{host} does not let user dagster in ({str(error).strip().splitlines()[-1][:200]}): allow "
            "rds-db:connect, look whether the instance runs, and whether its security group lets this one in"
        ) from None
    return f"{host} lets user dagster in"
