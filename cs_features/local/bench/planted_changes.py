"""What the preview's benchmark previews: interactions, prompts that change known shares, and what came of them.

In client processes. What is made of the figures stands in `preview.py`.
"""

import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from cs_features.environments import PROMPTS_OF_THE_PROJECT, settings
from cs_features.extraction.prompts import Prompts
from cs_features.extraction.table import plan_partition_requests
from cs_features.local.bench.client import DAY, Work, make_document, run_extraction
from cs_features.partitions import Partition
from cs_features.planning.preview.changes import EVERY_VALUE
from cs_features.planning.preview.plan import Scope
from cs_features.planning.preview.run import Preview, preview_candidate_prompts
from cs_features.schemas import ANSWER_FIELDS, CATEGORICAL, SCORES
from cs_features.services import DataBucket, Model, build_services_from
from cs_features.storage import Tables

# 1,806 interactions in 14 strata, some of them tiny, over three days.
STRATA = {
    "NL": {"nl": 420, "en": 60, "tr": 12},
    "BE": {"nl": 200, "fr": 170, "de": 25, "ar": 6},
    "FR": {"fr": 380, "ar": 20},
    "ES": {"es": 240, "ca": 50},
    "PL": {"pl": 190, "uk": 30, "en": 3},
}
DAYS = 3
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6)  # of a feature's values, changed by one prompt
MULTIPLES = (0.0, 0.5, 1.0, 2.0)  # of that, in one stratum

Features = dict[str, dict[str, Any] | None]  # by interaction; None without an answer


def day_of(number: int) -> date:
    return DAY + timedelta(days=number % DAYS)


def land_strata(s3: Any) -> None:
    for country, languages in STRATA.items():
        lines: dict[date, list[str]] = {}
        for language, count in languages.items():
            for number in range(count):
                made = make_document(number + 1_000 * list(languages).index(language), country)
                moment = made["occurred_at"].replace(DAY.isoformat(), day_of(number).isoformat())
                made |= {"language": language, "occurred_at": moment}
                lines.setdefault(day_of(number), []).append(json.dumps(made))
        for day, made_on in lines.items():
            key = f"interactions/{Partition(country, day).folder}/chats.jsonl"
            s3.put_object(Bucket="cs-landing", Key=key, Body="\n".join(made_on).encode())


def partitions_of(countries: Iterable[str]) -> list[Partition]:
    return [Partition(country, DAY + timedelta(days=back)) for country in countries for back in range(DAYS)]


def extract_all() -> None:
    """In a client process: the features in use, by the product's own assets; kept beside them for each change."""
    import dagster as dg

    from cs_features.definitions import build_defs

    job = build_defs().resolve_job_def("process_interactions")
    assets = [dg.AssetKey("raw_interactions"), dg.AssetKey("llm_extractions")]
    tables: Tables = build_services_from(settings()).data.tables()
    with dg.DagsterInstance.ephemeral() as instance:
        for partition in partitions_of(STRATA):
            job.execute_in_process(partition_key=partition.key, instance=instance, asset_selection=assets)
            frame = tables.read("llm_extractions", partition)
            assert frame is not None, "the job has written it"
            tables.write("as_answered", partition, frame)


# --- a change ---------------------------------------------------------------------------------


def preview_changes(numbers: list[int]) -> list[dict[str, Any]]:
    """In a client process: some changes, each planted, previewed and then run in full."""
    return [_preview_change(number) for number in numbers]


def _preview_change(number: int) -> dict[str, Any]:
    chance = random.Random(number)
    services = build_services_from(settings())
    model = services.model
    data = services.data
    _delete_ledgers(data)
    countries = sorted(chance.sample(sorted(STRATA), chance.choice((1, 2, 3, 5))))
    before = _plant_features(data.tables(), model.prompts(), chance)
    with tempfile.TemporaryDirectory() as name:
        folder = _write_candidate(Path(name) / "prompts", countries, number)
        found = preview_candidate_prompts(
            folder, model, data, Scope(), dry_run=False, noise=False, say=lambda line: None
        )
        assert found is not None, "the candidate differs"
        rerun = _rerun_partitions(replace(model, prompts_dir=folder), data, countries)
    return {
        "rows": _rows_with_truth(
            found, {key: _differing_features(before[key], after) for key, after in rerun["features"].items()}
        ),
        "said_usd": found.price["cost_usd"],
        "preview_usd": found.cost_usd,
        "rest_usd": rerun["cost_usd"],
        # Without the preview the rerun would have asked its sample too.
        "rerun_usd": found.cost_usd + rerun["cost_usd"],
        "sample": rerun["kept"],
        "requests": rerun["requests"],
        "paid_again": rerun["asked"] + rerun["kept"] - rerun["requests"],
    }


def _delete_ledgers(data: DataBucket) -> None:
    """Each change stands alone; fifty of them in one ledger would be read fifty times."""
    s3 = data.tables().bucket.client
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=data.name, Prefix="ledger/")
    for key in [item["Key"] for page in pages for item in page.get("Contents", [])]:
        s3.delete_object(Bucket=data.name, Key=key)


def _write_candidate(folder: Path, countries: list[str], number: int) -> Path:
    shutil.copytree(PROMPTS_OF_THE_PROJECT, folder, ignore=shutil.ignore_patterns("golden"))
    for country in countries:
        path = folder / "countries" / f"{country}.md"
        path.write_text(path.read_text().replace("\n## Examples", f"\n- Change {number}.\n\n## Examples"))
    return folder


def _plant_features(tables: Tables, prompts: Prompts, chance: random.Random) -> Features:
    """Write and return other features in use."""
    rules = prompts.tool["toolSpec"]["inputSchema"]["json"]["properties"]
    options = {name: rules[name]["enum"] for name in CATEGORICAL}
    shares = {name: chance.choice(SHARES) for name in ANSWER_FIELDS}
    multiples = {
        (country, language, name): chance.choice(MULTIPLES)
        for country, languages in STRATA.items()
        for language in languages
        for name in ANSWER_FIELDS
    }
    features: Features = {}
    for partition in partitions_of(STRATA):
        frame, raw = tables.read("as_answered", partition), tables.read("raw_interactions", partition)
        assert frame is not None
        assert raw is not None
        languages = dict(raw.select("interaction_id", "language").iter_rows())
        rows = frame.to_dicts()
        for row in rows:
            language = languages[row["interaction_id"]]
            together = chance.random()  # half of the changes come together, as those of a real prompt do
            planted = {}
            for name in ANSWER_FIELDS:
                draw = together if chance.random() < 0.5 else chance.random()
                differs = draw < min(0.9, shares[name] * multiples[partition.country, language, name])
                planted[name] = _other_value(row[name], name, differs, options, chance)
            answered = row["status"] == "answered"
            features[row["interaction_id"]] = planted if answered else None
            row |= planted if answered else {}
        tables.write("llm_extractions", partition, pl.DataFrame(rows, schema=frame.schema))
    return features


def _other_value(value: Any, name: str, differs: bool, options: dict[str, list[str]], chance: random.Random) -> Any:
    """A value that counts as another, or one that is another and does not count."""
    if value is None:
        return None
    if name in CATEGORICAL:
        return chance.choice([each for each in options[name] if each != value]) if differs else value
    if name in SCORES:
        step = 0.2 if differs else 0.05
        return round(value + step if value < 0.5 else value - step, 2)
    return f"Otherwise {value}"[:200] if differs else f" {value.upper()}"


def _rerun_partitions(model: Model, data: DataBucket, countries: list[str]) -> dict[str, Any]:
    """What `llm_extractions` does, for every partition whose prompt differs."""
    prompts, totals = model.prompts(), Counter[str]()
    cost = 0.0
    features: Features = {}
    extractor = model.extractor(prompts, data, "preview")
    for partition in partitions_of(countries):
        raw = data.tables().read("raw_interactions", partition)
        assert raw is not None
        needed, requests = plan_partition_requests(raw, prompts, model.capabilities(), model.masking)
        kept = data.ledger(partition.folder).read_outcomes()
        session = run_extraction(Work(partition, model, data, prompts, needed, requests), extractor)
        features |= {item.interaction_id: session.outcomes[item.request_hash].answer for item in needed}
        cost += session.cost_usd
        totals.update(asked=len(session.asked), kept=len(kept.keys() & requests.keys()), requests=len(requests))
    return {"features": features, "cost_usd": cost, **totals}


def _differing_features(before: dict[str, Any] | None, after: dict[str, Any] | None) -> set[str]:
    """The features that changed."""
    if before is None or after is None:
        return set() if before is after else set(ANSWER_FIELDS)
    far = {name for name in SCORES if abs(before[name] - after[name]) > 0.1 + 1e-9}
    other = {name for name in CATEGORICAL if before[name] != after[name]}
    said, says = (" ".join(each["summary"].lower().split()) for each in (before, after))
    return far | other | ({"summary"} if said != says else set())


def _rows_with_truth(found: Preview, truth: dict[str, set[str]]) -> list[dict[str, Any]]:
    """Each estimate for all and for a country beside the truth."""
    country_of = {
        make_document(number + 1_000 * place, country)["interaction_id"]: country
        for country, languages in STRATA.items()
        for place, count in enumerate(languages.values())
        for number in range(count)
    }
    rows = []
    for row in found.changes.filter(pl.col("language") == "all").to_dicts():
        here = [changed for key, changed in truth.items() if row["country"] in ("all", country_of[key])]
        name = row["feature"]
        parts = [len(changed) / len(ANSWER_FIELDS) if name == EVERY_VALUE else name in changed for changed in here]
        assert len(here) == row["interactions"], "the preview has counted the interactions that the rerun has run"
        rows.append({**row, "truth": sum(parts) / len(parts)})
    return rows
