"""What the assets act through, made from the settings. One resource a thing in the world.

A resource makes clients and nothing else; what is done with them stands in the modules it names.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_aws.s3 import S3Resource

from cs_features import aws
from cs_features.environments import Settings, aws_region
from cs_features.extraction.bedrock import bedrock_client, converse
from cs_features.extraction.brakes import Budget
from cs_features.extraction.engine import Extractor, TokenEstimate
from cs_features.extraction.host import host_folder
from cs_features.extraction.models import ModelCapabilities, capabilities_of
from cs_features.extraction.pricing import price_list
from cs_features.extraction.prompts import Prompts, load_prompts
from cs_features.extraction.quota import Limiter
from cs_features.landing_zone import LandingZone
from cs_features.storage import DataBucket, ParquetTables, s3_client


class Landing(dg.ConfigurableResource[LandingZone]):
    """The landing bucket, and how the sensor looks at it."""

    s3: S3Resource
    bucket: str
    window_days: int
    quiet_seconds: int
    max_requests: int

    def zone(self) -> LandingZone:
        return LandingZone(s3_client(self.s3), self.bucket)


class Model(dg.ConfigurableResource[Any]):
    """The model, what it is told, and what a run may spend on it."""

    model_id: str
    prompts_dir: str
    max_concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    max_cost_usd: float

    def capabilities(self) -> ModelCapabilities:
        return capabilities_of(self.model_id)

    def prompts(self) -> Prompts:
        # Read at each use, so that an edited prompt counts from the next run on.
        return load_prompts(Path(self.prompts_dir))

    def extractor(self, prompts: Prompts) -> Extractor:
        """What one run asks with; its budget begins at zero."""
        capabilities = self.capabilities()
        client = bedrock_client(self.max_concurrency, capabilities.timeout_seconds)
        return Extractor(
            call=lambda request: converse(client, request),
            answer_model=prompts.answer_model,
            price=price_list(capabilities),
            limiter=Limiter(
                host_folder() / "quota" / self.model_id,
                requests_per_minute=self.requests_per_minute,
                tokens_per_minute=self.tokens_per_minute,
                burndown=capabilities.burndown,
            ),
            budget=Budget(self.max_cost_usd),
            estimate=TokenEstimate(capabilities.tokens_per_character),
        )


class FeatureGroup(dg.ConfigurableResource[Any]):
    """The SageMaker feature group."""

    name: str

    def control_plane(self) -> Any:
        return aws.client("sagemaker")

    def runtime(self) -> Any:
        return aws.client("sagemaker-featurestore-runtime", max_pool_connections=16)


class Alerts(dg.ConfigurableResource[Any]):
    """The SNS topic for incidents, and where the Dagster UI is, for the links in them."""

    topic_arn: str
    ui_url: str

    def client(self) -> Any:
        # Quick to give up: a message that is not taken waits for the next tick.
        return aws.client(
            "sns", connect_timeout=3, read_timeout=8, retries={"mode": "standard", "total_max_attempts": 2}
        )


def resources_for(settings: Settings) -> Mapping[str, Any]:
    """Every resource, by the name under which assets, checks and sensors ask for it."""
    s3 = S3Resource(region_name=aws_region())
    data = DataBucket(s3=s3, name=settings.data_bucket)
    return {
        "landing": Landing(
            s3=s3,
            bucket=settings.landing_bucket,
            window_days=settings.landing_window_days,
            quiet_seconds=settings.landing_quiet_seconds,
            max_requests=settings.landing_max_requests,
        ),
        "model": Model(
            model_id=settings.model_id,
            prompts_dir=str(settings.prompts_dir),
            max_concurrency=settings.max_concurrency,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            max_cost_usd=settings.max_cost_usd,
        ),
        "alerts": Alerts(topic_arn=settings.alerts_topic_arn or "", ui_url=settings.ui_url),
        "feature_group": FeatureGroup(name=settings.feature_group),
        "data": data,
        "io_manager": ParquetTables(data=data),
    }
