"""Settings, and the only place that reads the environment.

A wrong value fails here, when the code location loads, with the variable to set. Credentials,
region and endpoints are boto3's own variables and are read by boto3.
"""

import os
import re
from collections.abc import Mapping
from datetime import date, datetime, timezone
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from cs_features.errors import SettingsError

PREFIX = "CS_FEATURES_"
MAY_BE_EMPTY = "CS_FEATURES_CUSTOMER_FEATURE_GROUP"
# What somebody means who sets a variable of ours, however it is misspelt.
_MEANT = re.compile(r"cs[_-]?features?[_-]", re.IGNORECASE)
PROMPTS_OF_THE_PROJECT = Path(__file__).resolve().parent.parent / "prompts"


# docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, general purpose buckets
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_RESERVED_BUCKET = re.compile(r"(xn--|sthree-|amzn-s3-demo-).*|.*(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)")
_IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


def check_bucket_name(name: str) -> str:
    """The name, if S3 takes it; ValueError says what a bucket's name is."""
    if "/" in name or ":" in name:
        raise ValueError("is an address; give the bucket's name alone, such as cs-data")
    if not _BUCKET.fullmatch(name) or ".." in name or _IP_ADDRESS.fullmatch(name):
        raise ValueError("S3 takes 3 to 63 lower-case letters, digits, dots and dashes, with letters or digits outside")
    if _RESERVED_BUCKET.fullmatch(name):
        raise ValueError("S3 keeps this beginning or ending for itself")
    return name


BucketName = Annotated[str, AfterValidator(check_bucket_name)]


def check_day_spelling(value: Any) -> Any:
    """The value, unless it is text that is no day; pydantic takes seconds since 1970, and drops a time and its zone."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("write YYYY-MM-DD, for example 2026-09-01")
    return value


Day = Annotated[date, BeforeValidator(check_day_spelling)]
EARLIEST = date(2000, 1, 1)
MAX_DAYS = 36_500  # a century: what is longer is a slip, and dates end somewhere
MAX_SECONDS = 7 * 86_400


class Settings(BaseModel):
    """The contract's settings; each field is the variable `CS_FEATURES_{FIELD}`, its description the docs' words."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    landing_bucket: BucketName = Field("cs-landing", description="bucket that interactions land in")
    data_bucket: BucketName = Field("cs-data", description="bucket of the tables and the ledger")
    feature_group: str = Field(
        "cs-interaction-features",
        pattern=r"^[a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63}$",
        description="SageMaker feature group",
    )
    customer_feature_group: str = Field(
        "cs-customer-features",
        pattern=r"^([a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63})?$",
        description="SageMaker feature group of customers' features; empty: there is none",
    )
    model_id: str = Field(
        "eu.anthropic.claude-haiku-5-5", min_length=1, description="a model of `cs_features/extraction/models.py`"
    )
    requests_per_minute: float | None = Field(
        None,
        gt=0,
        description="quota that all runs may use together, on whatever host; unset, as the next: the account's, as "
        "Service Quotas lists it, and where nobody knows that, found by adapting to throttles",
    )
    tokens_per_minute: float | None = Field(None, gt=0, description="the same for tokens, as Bedrock counts them")
    max_concurrency: int = Field(32, ge=1, le=512, description="calls in flight in one run")
    max_cost_usd: float = Field(
        25.0, ge=0, description="budget in US dollars of a partition a UTC day, over all its runs"
    )
    # A year's 1.3 million interactions cost some $260, an ordinary day $0.70: a day's cap lets a backfill of two
    # months through and stops a loop at the second full budget; a month's lets a whole year be extracted anew, once.
    max_cost_usd_per_day: float = Field(50.0, ge=0, description="cap in US dollars of a UTC day, over all runs")
    max_cost_usd_per_month: float = Field(500.0, ge=0, description="cap in US dollars of a UTC month, over all runs")
    unmasked_countries: str = Field(
        "",
        pattern=r"^(?:[A-Z]{2}(?:[ ,]+[A-Z]{2})*)?$",
        description="countries whose texts reach the model with the personal data in them, such as `PL ES`",
    )
    masked_from: Day | None = Field(
        None,
        description="first day whose texts are masked; unset: every day. What was asked unmasked is asked again",
    )
    prompts_dir: Path = Field(PROMPTS_OF_THE_PROJECT, description="folder of the prompts")
    prompts_from: Literal["folder", "bucket"] = Field(
        "folder", description="`bucket`: the version in use in the data bucket goes before that folder"
    )
    # A few months: a UI that opens on years of empty days shows nothing.
    first_date: Day = Field(date(2026, 9, 1), description="first day that is a partition: when your data begin")
    max_withdrawn_share: float = Field(
        0.05, ge=0, le=1, description="share of a partition's records that a run may withdraw from the store unasked"
    )
    landing_window_days: int = Field(35, ge=1, le=MAX_DAYS, description="how far back the sensor looks")
    # Chosen by the benchmark `arrivals`: fewer than 250 runs a day, and 95 of 100 documents served within 30 minutes.
    landing_quiet_seconds: int = Field(
        60,
        ge=0,
        le=MAX_SECONDS,
        description="how long a new folder must rest before it is run; doubled with each run of it",
    )
    landing_patience_seconds: int = Field(
        1500,
        ge=0,
        le=MAX_SECONDS,
        description="how long a folder that never rests waits at most, and how long a rest can become",
    )
    landing_max_requests: int = Field(50, ge=1, le=10_000, description="runs asked for in one tick")

    tombstone_key: SecretStr | None = Field(
        None, min_length=32, description="secret of the tombstones; without it nobody can be erased: `docs/privacy.md`"
    )
    raw_kms_key: str = Field(
        "",
        pattern=r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/[A-Za-z0-9/_-]+)?$",
        description="ARN of the KMS key that encrypts `raw_interactions` alone; unset: the bucket's own encryption",
    )
    retention_run_days: int = Field(
        30,
        ge=7,
        le=MAX_DAYS,
        description="how long Dagster's runs and their events are kept that no partition's state is told from",
    )
    retention_log_days: int = Field(14, ge=1, le=MAX_DAYS, description="how long is kept what runs printed")
    # More than a year: a day that is run again within it asks the model nothing.
    retention_ledger_days: int = Field(
        400,
        ge=40,
        le=MAX_DAYS,
        description="how long the answers in a day's ledger are kept; a later rerun of the day pays again",
    )

    # Beyond the sensor's window, so that no run of it has to read a text again. Unset: nothing is lost unasked.
    retention_text_days: int | None = Field(
        None,
        ge=60,
        le=MAX_DAYS,
        description="how long the tables keep customers' texts (column `payload`); unset: for good",
    )
    retention_answer_days: int | None = Field(
        None, ge=60, le=MAX_DAYS, description="how long `llm_extractions` is kept; unset: for good"
    )
    retention_feature_days: int | None = Field(
        None, ge=100, le=MAX_DAYS, description="how long `validated_features` is kept; unset: for good"
    )

    alerts_topic_arn: str | None = Field(
        None,
        pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:.+$",
        description="SNS topic for incidents; without it nobody is told",
    )
    database_host: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.-]+$",
        description="host of Dagster's database, for `deploy/dagster.yaml` and `preflight`; unset: none",
    )
    ui_url: str = Field(
        "http://127.0.0.1:3000",
        pattern=r"^https?://[^\s/]\S*$",
        description="where the Dagster UI is, for the links in alerts",
    )

    owner: str | None = Field(
        None,
        pattern=r"^(team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$",
        description="who answers for the assets, as the UI shows it: an address, or `team:name`",
    )
    repository_url: str | None = Field(
        None, pattern=r"^https://\S+[^/\s]$", description="where the code is, for the links in the UI"
    )

    @field_validator("model_id")
    @classmethod
    def stays_in_the_eu(cls, model_id: str) -> str:
        # A global profile may send EU customers' text anywhere. The message names no customer.
        if model_id.startswith("global."):
            raise ValueError("a global. profile may leave the EU; use an eu. profile")
        return model_id

    @field_validator("customer_feature_group")
    @classmethod
    def is_another_group(cls, name: str, others: ValidationInfo) -> str:
        if name and name == others.data.get("feature_group"):
            raise ValueError("is CS_FEATURES_FEATURE_GROUP as well: customers' records need a group of their own")
        return name

    @field_validator("first_date")
    @classmethod
    def has_days(cls, first: date) -> date:
        if not EARLIEST <= first <= datetime.now(timezone.utc).date():
            raise ValueError(f"no day would be a partition, or too many: from {EARLIEST} to today (UTC)")
        return first

    @field_validator("ui_url")
    @classmethod
    def ends_without_slash(cls, address: str) -> str:
        return address.rstrip("/")  # links go on with one


VARIABLES = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; an empty variable counts as unset, but for the second feature group, which may be none.

    Raises:
        SettingsError: one line a wrong variable, and the name of one that does not exist.
    """
    meant = {key: value for key, value in environ.items() if _MEANT.match(key) and (value != "" or key == MAY_BE_EMPTY)}
    problems = [_describe_stray_variable(key) for key in meant if key not in VARIABLES]
    try:
        known = {key.removeprefix(PREFIX).lower(): value for key, value in meant.items() if key in VARIABLES}
        chosen = Settings.model_validate(known)
    except ValidationError as error:
        problems += [_describe_setting_problem(dict(problem)) for problem in error.errors()]
    if problems:
        raise SettingsError("Wrong settings. " + "; ".join(problems))
    return chosen


def _describe_setting_problem(problem: Mapping[str, Any]) -> str:
    field = str(problem["loc"][0])
    shown = "(not shown)" if "Secret" in str(Settings.model_fields[field].annotation) else repr(problem["input"])
    return f"{PREFIX}{field.upper()}={shown}: {problem['msg'].removeprefix('Value error, ')}"


def _describe_stray_variable(variable: str) -> str:
    """A variable that is ours by its name, and that nothing would read."""
    similar = get_close_matches(_MEANT.sub("", variable).lower(), Settings.model_fields, n=1)
    if similar:
        return f"{variable} is no setting: did you mean {PREFIX}{similar[0].upper()}?"
    return f"{variable} is no setting; they are {', '.join(VARIABLES)}"


def aws_region(environ: Mapping[str, str] = os.environ) -> str | None:
    """boto3 itself reads AWS_DEFAULT_REGION alone; AWS_REGION is what Lambda, ECS and people set."""
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None
