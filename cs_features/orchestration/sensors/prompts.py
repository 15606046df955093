"""`prompt_sensor`: which countries' prompts changed, told to Dagster; and their quality measured anew.

It reads the files in `prompts/` and asks for runs; it judges nothing, and reads the bucket only where one changed. A
country's file that cannot be used stops no other country's: it keeps the version that was seen last until it is mended.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice

import dagster as dg

from cs_features.errors import AwsRefusal
from cs_features.extraction.prompts import Prompts
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.jobs import measure_quality
from cs_features.orchestration.partitions import country_partitions, locale_partitions
from cs_features.orchestration.resources import DataBucket, Model
from cs_features.partitions import Locale
from cs_features.planning.priorities import tag_measurement_run
from cs_features.s3 import Bucket

UNUSABLE = "Prompt files cannot be used. "  # how the tick begins that could not see all; alerts count them

SEEN = "prompts_seen"  # in the data bucket: what each country's prompt was when it was last seen
SHOWN_LINES = 200

Versions = Mapping[str, str]


@dataclass(frozen=True)
class Comparison:
    """Each country's version now, those that are others than before, and those of them that had one before."""

    now: Versions
    changed: Versions
    edited: frozenset[str]


def read_versions(model_id: str, prompts: Prompts, countries: Iterable[str]) -> dict[str, str]:
    """The data version of each country whose file can be used: the model, and the fingerprint of what shapes it."""
    usable = [country for country in countries if country in prompts.countries]
    return {country: f"{model_id}/{prompts.version(country)}" for country in usable}


def compare_versions(before: Versions, found: Versions, unusable: Iterable[str]) -> Comparison:
    """A country that cannot be read keeps its version; the first sight of one is no edit, and asks for nothing."""
    kept = {country: before[country] for country in unusable if country in before}
    changed = {country: version for country, version in found.items() if before.get(country) != version}
    return Comparison({**kept, **found}, changed, frozenset(changed.keys() & before.keys()))


def read_cursor(text: str | None) -> dict[str, str]:
    """Each country's version at the last tick; a cursor that cannot be read is a first sight of all."""
    try:
        versions = json.loads(text or "{}")
    except ValueError:
        return {}
    return versions if isinstance(versions, dict) else {}


def make_observations(versions: Versions, differences: Mapping[str, str]) -> list[dg.AssetObservation]:
    """What tells Dagster that these are the versions now, and shows what of each prompt is another."""
    return [
        dg.AssetObservation(
            "country_prompts",
            partition=country,
            tags={"dagster/data_version": version},
            metadata={
                "version": version,
                "difference": dg.MetadataValue.md(differences.get(country, "the first version that was seen")),
            },
        )
        for country, version in versions.items()
    ]


def compare_texts(prompts: Prompts, countries: Iterable[str], bucket: Bucket) -> dict[str, str]:
    """Of each country, what the model is told now against what it was told when that was last seen; kept for the next.

    Without the bucket a version is told all the same, and without its difference.
    """
    found = {}
    for country in countries:
        text = describe_prompt(prompts, country)
        try:
            before = bucket.get(f"{SEEN}/{country}.md")
            bucket.put(f"{SEEN}/{country}.md", text.encode())
        except AwsRefusal:
            found[country] = "unknown: the data bucket cannot be read"
            continue
        if before is not None:
            found[country] = show_difference(before.decode(errors="replace"), text)
    return found


def describe_prompt(prompts: Prompts, country: str) -> str:
    """Instructions, taxonomy and the country's file, as the model reads them, and the corrections of its scores."""
    file = prompts.countries[country]
    corrections = {model: each.model_dump() for model, each in file.calibration.items()}
    return f"{prompts.instructions}\n\n{file.body}\n\ncalibration: {json.dumps(corrections, sort_keys=True)}\n"


def show_difference(before: str, now: str) -> str:
    """A unified difference as Markdown; what is equal in words is another model."""
    lines = unified_diff(before.splitlines(), now.splitlines(), "before", "now", lineterm="", n=1)
    difference = "\n".join(islice(lines, SHOWN_LINES))
    return f"```diff\n{difference}\n```" if difference else "the same words, and another model"


def request_measurements(edited: frozenset[str]) -> list[dg.RunRequest]:
    # No run key: a prompt that is put back and edited again is measured again, from the ledger.
    return [
        dg.RunRequest(partition_key=key, tags=tag_measurement_run())
        for key in locale_partitions.get_partition_keys()
        if Locale.from_key(key).country in edited
    ]


def describe_tick(comparison: Comparison, prompts: Prompts, known: Iterable[str]) -> str:
    """What somebody who looks at the tick should read, the most urgent first."""
    lines = ["no prompt changed"]
    if comparison.changed:
        lines = [f"prompts observed: {', '.join(sorted(comparison.changed))}"]
    if new := sorted(prompts.list_countries() - set(known)):
        lines.append(f"not partitions yet, reload the code location: {', '.join(new)}")
    if gone := sorted(set(known) - prompts.list_countries()):
        lines.append(f"their file is gone: {', '.join(gone)}")
    if problems := prompts.countries.problems:
        return UNUSABLE + "; ".join([*(problems[country] for country in sorted(problems)), *lines])
    return "; ".join(lines)


@dg.sensor(
    job=measure_quality,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Tells which countries' prompts changed, which marks what was extracted with the old ones as stale, and asks "
        "for the quality of the new ones. It re-extracts nothing: that is decided and paid for by a person."
    ),
)
@guard_boundary
def prompt_sensor(context: dg.SensorEvaluationContext, model: Model, data: DataBucket) -> dg.SensorResult:
    # Files that every country needs and that cannot be used raise: a failed tick that names file and line.
    prompts, known = model.prompts(), country_partitions.get_partition_keys()
    found = read_versions(model.model_id, prompts, known)
    comparison = compare_versions(read_cursor(context.cursor), found, prompts.countries.problems)
    differences = compare_texts(prompts, comparison.changed, data.bucket()) if comparison.changed else {}
    requests = request_measurements(comparison.edited)
    told = describe_tick(comparison, prompts, known)
    if prompts.countries.problems:
        context.log.error(told)
    return dg.SensorResult(
        run_requests=requests,
        asset_events=make_observations(comparison.changed, differences),
        skip_reason=None if requests else told,
        cursor=json.dumps(dict(comparison.now)),
    )
