"""`prompt_sensor`: which countries' prompts changed, told to Dagster; and their quality measured anew.

It reads the files in `prompts/` and asks for runs; it judges nothing and reads no bucket.
"""

import json
from collections.abc import Mapping

import dagster as dg

from cs_features.orchestration.jobs import measure_quality
from cs_features.orchestration.partitions import country_partitions, locale_partitions
from cs_features.orchestration.resources import Model
from cs_features.partitions import Locale


def versions_of(model: Model) -> dict[str, str]:
    """The data version of each country's prompt: the model, and the fingerprint of what it is told."""
    prompts = model.prompts()
    return {
        country: f"{model.model_id}/{prompts.version(country)}"
        for country in country_partitions.get_partition_keys()
        if country in prompts.countries
    }


def observations(versions: Mapping[str, str]) -> list[dg.AssetObservation]:
    """What tells Dagster that these are the versions now."""
    return [
        dg.AssetObservation("country_prompts", partition=country, tags={"dagster/data_version": version})
        for country, version in versions.items()
    ]


@dg.sensor(
    job=measure_quality,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Tells which countries' prompts changed, which marks what was extracted with the old ones as stale, and asks "
        "for the quality of the new ones. It re-extracts nothing: that is decided and paid for by a person."
    ),
)
def prompt_sensor(context: dg.SensorEvaluationContext, model: Model) -> dg.SensorResult:
    # A prompt file that cannot be used raises: a failed tick that names file and line.
    before: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
    now = versions_of(model)
    changed = {country: version for country, version in now.items() if before.get(country) != version}
    # The first sight of a country is no change: a new deployment asks for nothing.
    edited = changed.keys() & before.keys()
    requests = [
        # No run key: a prompt that is put back and edited again is measured again, from the ledger.
        dg.RunRequest(partition_key=key)
        for key in locale_partitions.get_partition_keys()
        if Locale.from_key(key).country in edited
    ]
    told = f"prompts observed: {', '.join(changed)}" if changed else "no prompt changed"
    return dg.SensorResult(
        run_requests=requests,
        asset_events=observations(changed),
        skip_reason=None if requests else told,
        cursor=json.dumps(now),
    )
