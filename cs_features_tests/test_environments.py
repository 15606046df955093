"""The settings: what each variable does, and that a wrong one says its name when the code location loads."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from cs_features import aws
from cs_features.environments import settings
from cs_features.errors import SettingsError, UnknownModelError
from cs_features.orchestration.resources import build_resources
from cs_features.services import build_services_from
from cs_features_tests.support.lab import REPOSITORY

# The contract's table.
DEFAULTS = {
    "landing_bucket": "cs-landing",
    "data_bucket": "cs-data",
    "feature_group": "cs-interaction-features",
    "model_id": "eu.anthropic.claude-haiku-5-5",
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "max_concurrency": 32,
    "max_cost_usd": 25.0,
    "max_cost_usd_per_day": 50.0,
    "max_cost_usd_per_month": 500.0,
    "prompts_dir": REPOSITORY / "prompts",
}


def test_the_defaults_are_those_of_the_contract() -> None:
    """Other systems rely on these names: a renamed default bucket is data that nobody finds."""
    assert {name: getattr(settings({}), name) for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("CS_FEATURES_LANDING_BUCKET", "other-landing", "landing_bucket", "other-landing"),
        ("CS_FEATURES_DATA_BUCKET", "other-data", "data_bucket", "other-data"),
        ("CS_FEATURES_FEATURE_GROUP", "other-group", "feature_group", "other-group"),
        ("CS_FEATURES_MODEL_ID", "eu.amazon.nova-lite-v1:0", "model_id", "eu.amazon.nova-lite-v1:0"),
        ("CS_FEATURES_REQUESTS_PER_MINUTE", "1200", "requests_per_minute", 1200.0),
        ("CS_FEATURES_TOKENS_PER_MINUTE", "1e6", "tokens_per_minute", 1_000_000.0),
        ("CS_FEATURES_MAX_CONCURRENCY", "8", "max_concurrency", 8),
        ("CS_FEATURES_MAX_COST_USD", "0", "max_cost_usd", 0.0),
        ("CS_FEATURES_MAX_COST_USD_PER_DAY", "7", "max_cost_usd_per_day", 7.0),
        ("CS_FEATURES_MAX_COST_USD_PER_MONTH", "70", "max_cost_usd_per_month", 70.0),
        ("CS_FEATURES_PROMPTS_DIR", "/srv/prompts", "prompts_dir", Path("/srv/prompts")),
        ("CS_FEATURES_LANDING_WINDOW_DAYS", "3", "landing_window_days", 3),
        ("CS_FEATURES_LANDING_QUIET_SECONDS", "0", "landing_quiet_seconds", 0),
        ("CS_FEATURES_LANDING_PATIENCE_SECONDS", "600", "landing_patience_seconds", 600),
        ("CS_FEATURES_LANDING_MAX_REQUESTS", "5", "landing_max_requests", 5),
    ],
)
def test_a_variable_sets_its_setting_and_no_other(variable: str, text: str, field: str, value: Any) -> None:
    """A variable that is read and ignored looks obeyed."""
    read = settings({variable: text, "PATH": "/bin"})
    changed = {name for name, default in settings({}) if getattr(read, name) != default}
    assert (changed, getattr(read, field)) == ({field}, value)


def test_the_settings_reach_what_they_are_about() -> None:
    """Two buckets mixed up between settings and resources would write tables into the landing zone."""
    services = build_services_from(
        settings(
            {
                "CS_FEATURES_LANDING_BUCKET": "the-landing",
                "CS_FEATURES_DATA_BUCKET": "the-data",
                "CS_FEATURES_FEATURE_GROUP": "the-group",
                "CS_FEATURES_MODEL_ID": "eu.amazon.nova-micro-v1:0",
                "CS_FEATURES_MAX_CONCURRENCY": "7",
                "CS_FEATURES_LANDING_WINDOW_DAYS": "3",
                "CS_FEATURES_LANDING_QUIET_SECONDS": "4",
                "CS_FEATURES_LANDING_PATIENCE_SECONDS": "6",
                "CS_FEATURES_LANDING_MAX_REQUESTS": "5",
            }
        )
    )
    made = build_resources(services)
    landing = made["landing"]
    assert (landing.bucket, landing.window_days, landing.max_requests) == ("the-landing", 3, 5)
    assert (landing.quiet_seconds, landing.patience_seconds) == (4, 6)
    assert (made["data"].name, made["io_manager"].data.name) == ("the-data", "the-data")
    assert made["feature_group"].name == "the-group"
    assert (made["model"].model_id, made["model"].max_concurrency) == ("eu.amazon.nova-micro-v1:0", 7)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("CS_FEATURES_LANDING_BUCKET", "ab"),
        ("CS_FEATURES_DATA_BUCKET", "x" * 64),
        ("CS_FEATURES_FEATURE_GROUP", "no spaces"),
        ("CS_FEATURES_FEATURE_GROUP", "-begins-with-a-dash"),
        ("CS_FEATURES_REQUESTS_PER_MINUTE", "0"),
        ("CS_FEATURES_REQUESTS_PER_MINUTE", "many"),
        ("CS_FEATURES_TOKENS_PER_MINUTE", "-1"),
        ("CS_FEATURES_MAX_CONCURRENCY", "0"),
        ("CS_FEATURES_MAX_CONCURRENCY", "1.5"),
        ("CS_FEATURES_MAX_COST_USD", "-1"),
        ("CS_FEATURES_MAX_COST_USD", "nan"),
        ("CS_FEATURES_MAX_COST_USD", "1e999"),
        ("CS_FEATURES_REQUESTS_PER_MINUTE", "inf"),
        ("CS_FEATURES_LANDING_WINDOW_DAYS", "0"),
        ("CS_FEATURES_LANDING_WINDOW_DAYS", "1000000"),
        ("CS_FEATURES_LANDING_QUIET_SECONDS", "9" * 400),
        ("CS_FEATURES_RETENTION_TEXT_DAYS", "9" * 400),
        ("CS_FEATURES_RAW_KMS_KEY", "cs-data"),
        ("CS_FEATURES_UI_URL", "https:// dagster"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_its_variable(variable: str, text: str) -> None:
    """A budget of "twenty" must not become no budget, and "nan" is larger and smaller than nothing."""
    with pytest.raises(SettingsError, match=variable):
        settings({variable: text})


def test_all_wrong_values_are_told_at_once() -> None:
    """One at a time is one deployment a mistake."""
    with pytest.raises(SettingsError) as told:
        settings({"CS_FEATURES_MAX_CONCURRENCY": "0", "CS_FEATURES_DATA_BUCKET": "x"})
    assert "CS_FEATURES_MAX_CONCURRENCY" in str(told.value)
    assert "CS_FEATURES_DATA_BUCKET" in str(told.value)


def test_a_variable_that_does_not_exist_is_refused() -> None:
    """A misspelt CS_FEATURES_MAX_COST left the budget at its default while everybody thought it was five dollars."""
    with pytest.raises(SettingsError, match=r"MAX_COST is no setting: did you mean CS_FEATURES_MAX_COST_USD\?"):
        settings({"CS_FEATURES_MAX_COST": "5"})


@pytest.mark.parametrize(
    "variable",
    ["CS_FEATURE_DATA_BUCKET", "CSFEATURES_DATA_BUCKET", "cs_features_data_bucket", "CS_FEATURES_data_bucket",
     "CS-FEATURES-DATA-BUCKET"],
)  # fmt: skip
def test_a_variable_with_a_misspelt_beginning_is_refused_like_any_other(variable: str) -> None:
    """With the S left out it was nobody's: everything was written to the default bucket, and nothing said so."""
    with pytest.raises(SettingsError, match=rf"{variable} is no setting: did you mean CS_FEATURES_DATA_BUCKET\?"):
        settings({variable: "other-data", "CS_FEATURES_DATA_BUCKET": "cs-data"})


@pytest.mark.parametrize(
    "text", ["0", "1756684800", "20260901", "2026-09-01T00:00:00+14:00", "9999-12-31", "0001-01-01"]
)
def test_a_first_date_is_a_day_that_can_be_one(text: str) -> None:
    """Seconds since 1970 were taken for a day, a zone was dropped, and 739,947 days were made partitions."""
    with pytest.raises(SettingsError, match="CS_FEATURES_FIRST_DATE"):
        settings({"CS_FEATURES_FIRST_DATE": text})


def test_two_feature_groups_are_two() -> None:
    """The advice for one group with both names was to add the other's features to it."""
    with pytest.raises(SettingsError, match="CS_FEATURES_CUSTOMER_FEATURE_GROUP='one'"):
        settings({"CS_FEATURES_FEATURE_GROUP": "one", "CS_FEATURES_CUSTOMER_FEATURE_GROUP": "one"})


def test_a_slash_behind_the_uis_address_is_not_doubled_in_links() -> None:
    assert settings({"CS_FEATURES_UI_URL": "https://dagster.example/"}).ui_url == "https://dagster.example"


def test_a_misspelt_variable_is_told_what_could_be_meant_and_a_strange_one_what_there_is() -> None:
    """ "Extra inputs are not permitted" sends people to the documentation of pydantic (fault 48)."""
    with pytest.raises(SettingsError, match=r"did you mean CS_FEATURES_DATA_BUCKET\?"):
        settings({"CS_FEATURES_DATA_BUKET": "cs-data"})
    with pytest.raises(SettingsError, match=r"XYZZY is no setting; they are CS_FEATURES_LANDING_BUCKET, "):
        settings({"CS_FEATURES_XYZZY": "1"})


@pytest.mark.parametrize(
    "name",
    ["s3://cs-data", "cs-data/", "arn:aws:s3:::cs-data", "CS-Data", "cs_data", "ab", "x" * 64, "-cs-data", "cs-data.",
     "cs..data", "192.168.0.1", "xn--data", "data--ol-s3", "data-s3alias"],
)  # fmt: skip
def test_a_bucket_name_that_s3_refuses_is_refused_first(name: str) -> None:
    """`s3://` in a bucket's name was launched 24 times before AWS had said no as often (fault 48)."""
    with pytest.raises(SettingsError, match="CS_FEATURES_DATA_BUCKET"):
        settings({"CS_FEATURES_DATA_BUCKET": name})


@pytest.mark.parametrize("name", ["abc", "x" * 63, "my.bucket-1", "1-bucket", "cs-data-eu-central-1-123456789012"])
def test_a_bucket_name_that_s3_takes_is_taken(name: str) -> None:
    assert settings({"CS_FEATURES_DATA_BUCKET": name}).data_bucket == name


def test_an_unknown_model_is_refused_before_anything_runs() -> None:
    """Twenty-four doomed runs were launched for a typing error (fault 48)."""
    with pytest.raises(UnknownModelError, match=r"'eu\.anthropic\.claude-haiku-5'.*Known models: eu\.amazon"):
        build_services_from(settings({"CS_FEATURES_MODEL_ID": "eu.anthropic.claude-haiku-5"}))


def test_a_missing_region_is_a_setting_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore says "You must specify a region", and not where; S3 is asked in Virginia and says nothing (fault 48)."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for service in ("s3", "sagemaker"):
        with pytest.raises(SettingsError, match="set AWS_REGION"):
            aws.client(service)


def test_an_empty_variable_is_an_unset_one() -> None:
    """Task definitions and compose files pass variables through as empty strings."""
    assert settings({"CS_FEATURES_LANDING_BUCKET": "", "CS_FEATURES_REQUESTS_PER_MINUTE": ""}) == settings({})


def test_a_global_profile_is_refused() -> None:
    """It may send European customers' text to any region of the world."""
    with pytest.raises(SettingsError, match=r"CS_FEATURES_MODEL_ID.*eu\. profile"):
        settings({"CS_FEATURES_MODEL_ID": "global.anthropic.claude-haiku-5-5"})


@pytest.mark.heavy
def test_a_wrong_setting_stops_the_code_location_from_loading() -> None:
    """Found out by the first run at night, it would have cost the night."""
    done = subprocess.run(
        [sys.executable, "-c", "import cs_features.definitions"],
        env={**os.environ, "CS_FEATURES_MAX_CONCURRENCY": "plenty", "PYTHONWARNINGS": "ignore"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "SettingsError: Wrong settings. CS_FEATURES_MAX_CONCURRENCY='plenty'" in done.stderr


def test_nothing_else_in_the_product_reads_the_environment() -> None:
    """A setting read elsewhere is in no table, is not checked, and tests cannot override it."""
    readers = set()
    for path in (REPOSITORY / "cs_features").rglob("*.py"):
        if "local" in path.relative_to(REPOSITORY).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
                readers.add(path.name)
            if isinstance(node, ast.Attribute) and node.attr == "EnvVar":
                readers.add(path.name)
    assert readers == {"environments.py"}


def test_a_secret_is_shown_neither_where_it_is_wrong_nor_where_settings_are() -> None:
    """The message of a wrong setting quotes it, and stands in the log of every start."""
    with pytest.raises(SettingsError) as caught:
        settings({"CS_FEATURES_TOMBSTONE_KEY": "too short"})
    assert "CS_FEATURES_TOMBSTONE_KEY=(not shown)" in str(caught.value)
    assert "too short" not in str(caught.value)
    assert "k" * 32 not in repr(settings({"CS_FEATURES_TOMBSTONE_KEY": "k" * 32}))


def test_the_second_group_alone_may_be_empty() -> None:
    """A project that serves no customers' features says so with an empty name; any other empty variable is unset."""
    assert settings({}).customer_feature_group == "cs-customer-features"
    assert settings({"CS_FEATURES_CUSTOMER_FEATURE_GROUP": ""}).customer_feature_group == ""
    assert settings({"CS_FEATURES_FEATURE_GROUP": ""}).feature_group == "cs-interaction-features"
