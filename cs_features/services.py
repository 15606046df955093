"""What the product acts through, made from the settings: one plain object a thing in the world.

A service makes clients and nothing else; what is done with them stands in the modules it names. Dagster hands
them to assets and sensors as resources (`orchestration/resources.py`); commands build them with `build_services_from`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cs_features import aws, listed_objects
from cs_features.environments import Settings
from cs_features.erasure.tombstones import Tombstones, read_tombstones
from cs_features.extraction.account_quota import AccountQuota
from cs_features.extraction.attribution import Owners
from cs_features.extraction.bedrock import converse, make_bedrock_client
from cs_features.extraction.engine import Extractor
from cs_features.extraction.estimate import TokenEstimate
from cs_features.extraction.host import make_host_folder
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.models import ModelCapabilities, capabilities_of
from cs_features.extraction.pricing import TokenUsage, find_price_list
from cs_features.extraction.prompt_versions import PromptsInUse, PromptVersions
from cs_features.extraction.prompts import Prompts, load_prompt_folder
from cs_features.extraction.quota import Limiter, QuotaShare
from cs_features.extraction.spending import Limits, SharedBudget
from cs_features.landing.zone import LandingZone
from cs_features.languages import load_small_detector
from cs_features.privacy.policy import MASK_EVERYTHING, MaskingPolicy
from cs_features.publishing.encoding import make_records_client
from cs_features.retention.rules import Ages
from cs_features.retention.tables import TableAges
from cs_features.s3 import Bucket
from cs_features.storage import Tables

# A notice that goes is a change of its partition, which must not be looked at any more.
NOTICES_OUTLIVE_WINDOW_DAYS = 30
S3_CONNECTIONS = 32  # as many as the readers of landing objects and tables, together


@lru_cache(maxsize=1)
def s3_client() -> Any:
    """Made once a process: making one costs more than most calls."""
    return listed_objects.read_listings_at_once(aws.client("s3", max_pool_connections=S3_CONNECTIONS))


@dataclass(frozen=True, kw_only=True)
class Landing:
    """The landing bucket, and how the sensor looks at it."""

    bucket: str
    window_days: int
    quiet_seconds: int
    patience_seconds: int
    max_requests: int

    def zone(self) -> LandingZone:
        return LandingZone(Bucket(s3_client(), self.bucket, "CS_FEATURES_LANDING_BUCKET"))


@dataclass(frozen=True, kw_only=True)
class DataBucket:
    """The data bucket: the tables, and the ledger beside them; the secret of its tombstones, and the key of the one
    table that holds customers' words as they wrote them."""

    name: str
    tombstone_key: SecretStr | None = None
    raw_kms_key: str = ""

    def tables(self) -> Tables:
        return Tables(self.bucket())

    def ledger(
        self, folder: str, owners: Owners | None = None, read_tombstones: Callable[[], Tombstones] | None = None
    ) -> Ledger:
        """Of a partition, or of a corpus that is asked beside them; `owners` are whose each request is."""
        read_tombstones = read_tombstones or self.tombstones
        return Ledger(self.bucket(), folder, owners=owners, read_tombstones=read_tombstones)

    def prompt_versions(self) -> PromptVersions:
        return PromptVersions(self.bucket(), make_host_folder() / "prompts")

    def bucket(self) -> Bucket:
        encryption = {"raw_interactions/": self.raw_kms_key} if self.raw_kms_key else {}
        return Bucket(s3_client(), self.name, "CS_FEATURES_DATA_BUCKET", encryption)

    def reveal_tombstone_key(self) -> str | None:
        return self.tombstone_key.get_secret_value() if self.tombstone_key else None

    def tombstones(self) -> Tombstones:
        """Who is erased, as it is known at this moment."""
        return read_tombstones(self.bucket(), self.reveal_tombstone_key())


@dataclass(frozen=True, kw_only=True)
class Model:
    """The model, what it is told, and what a run may spend on it."""

    model_id: str
    prompts_dir: Path
    published: PromptsInUse | None = None
    max_concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    max_cost_usd: float
    max_cost_usd_per_day: float
    max_cost_usd_per_month: float
    others: QuotaShare | None = None
    """Who knows the runs on other hosts that share the quota; None, and there are none."""
    masking: MaskingPolicy = MASK_EVERYTHING

    def capabilities(self) -> ModelCapabilities:
        return capabilities_of(self.model_id)

    def limits(self) -> Limits:
        return Limits(self.max_cost_usd, self.max_cost_usd_per_day, self.max_cost_usd_per_month)

    def prompts(self) -> Prompts:
        # At each use, so that an edited prompt counts from the next run on; unchanged files are not read again.
        return load_prompt_folder(self.find_prompts_folder())

    def find_prompts_folder(self) -> Path:
        """Where the prompts in use are: `prompts_dir`, or the version that is in use in the data bucket."""
        return self.published.find_folder() if self.published else self.prompts_dir

    def with_prompts(self, folder: Path) -> "Model":
        """The same model, told something else."""
        return replace(self, prompts_dir=folder, published=None)

    def extractor(self, prompts: Prompts, data: DataBucket, folder: str) -> Extractor:
        """What one run asks with; `folder` is the partition, or the corpus, whose budget it spends."""
        capabilities = self.capabilities()

        # Made at the first call: a run that asks nothing needs none of it.
        @cache
        def client_and_price() -> tuple[Any, Callable[[TokenUsage], float]]:
            # Before the first call: while it loads, answers that are paid for would wait to be kept.
            load_small_detector()
            client = make_bedrock_client(self.max_concurrency, capabilities.timeout_seconds)
            return client, find_price_list(capabilities)

        return Extractor(
            call=lambda request: converse(client_and_price()[0], request),
            answer_model=prompts.answer_model,
            price=lambda usage: client_and_price()[1](usage),
            limiter=Limiter(
                make_host_folder() / "quota" / self.model_id,
                requests_per_minute=self.requests_per_minute,
                tokens_per_minute=self.tokens_per_minute,
                burndown=capabilities.burndown,
                read_quota=AccountQuota(data.bucket(), self.model_id, make_host_folder()).find_quota,
                others=self.others,
            ),
            budget=SharedBudget(data.bucket(), folder, self.limits()),
            estimate=TokenEstimate(capabilities.tokens_per_character),
        )


@dataclass(frozen=True, kw_only=True)
class FeatureGroup:
    """A SageMaker feature group, and which share of its records a run may withdraw from it unasked.

    Of the second one, customers' features, the name may be empty: there is none.
    """

    name: str
    max_withdrawn_share: float

    def control_plane(self) -> Any:
        return aws.client("sagemaker")

    def runtime(self) -> Any:
        return make_records_client()


def _count_window_days(days: int | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long is kept what nothing needs any more, in days. Notices outlive the sensor's window."""

    run_days: int
    log_days: int
    notice_days: int
    ledger_days: int
    text_days: int | None = None
    answer_days: int | None = None
    feature_days: int | None = None

    def table_ages(self) -> TableAges:
        """Of what the tables hold; nothing goes whose age is not set."""
        return TableAges(
            texts=_count_window_days(self.text_days),
            answers=_count_window_days(self.answer_days),
            features=_count_window_days(self.feature_days),
        )

    def ages(self) -> Ages:
        return Ages(
            runs=timedelta(days=self.run_days),
            logs=timedelta(days=self.log_days),
            notices=timedelta(days=self.notice_days),
            ledgers=timedelta(days=self.ledger_days),
        )


@dataclass(frozen=True, kw_only=True)
class Alerts:
    """The SNS topic for incidents, and where the Dagster UI is, for the links in them."""

    topic_arn: str
    ui_url: str

    def client(self) -> Any:
        # Quick to give up: a message that is not taken waits for the next tick.
        return aws.client(
            "sns", connect_timeout=3, read_timeout=8, retries={"mode": "standard", "total_max_attempts": 2}
        )


@dataclass(frozen=True, kw_only=True)
class History:
    """Dagster's database; no host where its history is in files. Nothing of ours is in it."""

    host: str


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that a run may act through."""

    landing: Landing
    data: DataBucket
    model: Model
    feature_group: FeatureGroup
    customer_feature_group: FeatureGroup
    alerts: Alerts
    history: History
    retention: Retention


def build_services_from(settings: Settings) -> Services:
    """The services of these settings.

    Raises:
        UnknownModelError: before anything runs, where the model is not one that can be asked and priced.
    """
    capabilities_of(settings.model_id)
    return Services(
        landing=Landing(
            bucket=settings.landing_bucket,
            window_days=settings.landing_window_days,
            quiet_seconds=settings.landing_quiet_seconds,
            patience_seconds=settings.landing_patience_seconds,
            max_requests=settings.landing_max_requests,
        ),
        data=DataBucket(
            name=settings.data_bucket, tombstone_key=settings.tombstone_key, raw_kms_key=settings.raw_kms_key
        ),
        model=Model(
            model_id=settings.model_id,
            prompts_dir=settings.prompts_dir,
            published=_find_published_prompts(settings) if settings.prompts_from == "bucket" else None,
            max_concurrency=settings.max_concurrency,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            max_cost_usd=settings.max_cost_usd,
            max_cost_usd_per_day=settings.max_cost_usd_per_day,
            max_cost_usd_per_month=settings.max_cost_usd_per_month,
            masking=MaskingPolicy(
                frozenset(settings.unmasked_countries.replace(",", " ").split()), settings.masked_from
            ),
        ),
        feature_group=FeatureGroup(name=settings.feature_group, max_withdrawn_share=settings.max_withdrawn_share),
        customer_feature_group=FeatureGroup(
            name=settings.customer_feature_group, max_withdrawn_share=settings.max_withdrawn_share
        ),
        retention=Retention(
            run_days=settings.retention_run_days,
            log_days=settings.retention_log_days,
            notice_days=settings.landing_window_days + NOTICES_OUTLIVE_WINDOW_DAYS,
            ledger_days=settings.retention_ledger_days,
            text_days=settings.retention_text_days,
            answer_days=settings.retention_answer_days,
            feature_days=settings.retention_feature_days,
        ),
        alerts=Alerts(topic_arn=settings.alerts_topic_arn or "", ui_url=settings.ui_url),
        history=History(host=settings.database_host or ""),
    )


def _find_published_prompts(settings: Settings) -> PromptsInUse:
    return PromptsInUse(DataBucket(name=settings.data_bucket).prompt_versions, settings.prompts_dir)
