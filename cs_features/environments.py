"""Settings, and the only place that reads the environment.

A wrong value fails here, when the code location loads, with the variable to set. Credentials,
region and endpoints are boto3's own variables and are read by boto3.
"""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cs_features.errors import SettingsError

PREFIX = "CS_FEATURES_"
PROMPTS_OF_THE_PROJECT = Path(__file__).resolve().parent.parent / "prompts"


class Settings(BaseModel):
    """The contract's settings; each field is the variable `CS_FEATURES_{FIELD}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    landing_bucket: str = Field("cs-landing", min_length=3, max_length=63)
    data_bucket: str = Field("cs-data", min_length=3, max_length=63)
    feature_group: str = Field("cs-interaction-features", pattern=r"^[a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63}$")
    model_id: str = Field("eu.anthropic.claude-haiku-5-5", min_length=1)
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    max_concurrency: int = Field(32, ge=1, le=512)
    max_cost_usd: float = Field(25.0, ge=0)
    prompts_dir: Path = PROMPTS_OF_THE_PROJECT
    # The first day that is a partition. A few months: a UI that opens on years of empty days shows nothing.
    first_date: date = date(2026, 9, 1)
    landing_window_days: int = Field(35, ge=1)
    landing_quiet_seconds: int = Field(60, ge=0)
    landing_max_requests: int = Field(50, ge=1)

    alerts_topic_arn: str | None = Field(None, pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:.+$")
    ui_url: str = Field("http://127.0.0.1:3000", pattern=r"^https?://")

    @field_validator("model_id")
    @classmethod
    def stays_in_the_eu(cls, model_id: str) -> str:
        # A global profile may send EU customers' text anywhere. The message names no customer.
        if model_id.startswith("global."):
            raise ValueError("a global. profile may leave the EU; use an eu. profile")
        return model_id


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; an empty variable counts as unset.

    Raises:
        SettingsError: one line a wrong variable, and the name of one that does not exist.
    """
    given = {key: value for key, value in environ.items() if key.startswith(PREFIX) and value != ""}
    try:
        return Settings.model_validate({key.removeprefix(PREFIX).lower(): value for key, value in given.items()})
    except ValidationError as error:
        lines = [
            f"{PREFIX}{str(problem['loc'][0]).upper()}={problem['input']!r}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise SettingsError("Wrong settings. " + "; ".join(lines)) from None


def aws_region(environ: Mapping[str, str] = os.environ) -> str | None:
    """boto3 itself reads AWS_DEFAULT_REGION alone; AWS_REGION is what Lambda, ECS and people set."""
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None
