"""One partition from landing to feature store, as a user sees it: tables, records, reruns, refusals."""

import importlib
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import polars as pl
import pytest
from dagster._core.workspace.load_target import WorkspaceFileTarget

from cs_features import definitions
from cs_features.errors import UnknownModelError
from cs_features.extraction.table import EXTRACTIONS_SCHEMA
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.local.scripted import Script
from cs_features.partitions import Partition
from cs_features.publishing.manifest import MANIFEST_SCHEMA
from cs_features.schemas import ANSWER_FIELDS, FEATURE_COLUMNS, VALIDATED_COLUMNS
from cs_features_tests.support.documents import DAY, document, gz, id_of, jsonl
from cs_features_tests.support.lab import HAIKU_4_5, REPOSITORY, AwsAndModel, Lab, Run

MakeLab = Callable[..., Lab]
TABLES = ("raw_interactions", "llm_extractions", "validated_features", "rejected_records", "feature_store")
POISON = "ononderbroken storing"


def says(text: str) -> list[dict[str, str]]:
    return [{"speaker": "customer", "text": text}]


@pytest.fixture(scope="module")
def processed(stack: AwsAndModel) -> Iterator[tuple[Lab, Run]]:
    """A day of every kind of file and of document, processed once."""
    lab = Lab(stack)
    stack.answerer.script = Script(poison=POISON)
    lab.land("NL", DAY, "chats.jsonl", jsonl([document(1), b"broken", document(2, customer_id=...), document(1)]))
    lab.land("NL", DAY, "mails.jsonl.gz", gz(jsonl([document(3, language=...), document(4, turns=says(POISON))])))
    lab.land("NL", DAY, "review.json", json.dumps(document(5, channel="review", extra="field")).encode())
    lab.land("NL", DAY, "deeper/belgian.json", json.dumps(document(6, country="BE")).encode())
    lab.land("NL", DAY, "report.csv", b"a;b\n1;2\n")
    lab.land("NL", DAY, "_SUCCESS", b"done")
    lab.land("BE", DAY, "other.jsonl", jsonl([document(7, country="BE")]))
    run = lab.process()
    stack.answerer.script = Script()
    yield lab, run
    lab.instance.dispose()


GOOD = [id_of(number) for number in (1, 2, 3, 5)]


def test_bad_documents_do_not_keep_good_ones_from_the_feature_store(processed: tuple[Lab, Run]) -> None:
    """In all six engines that were tried, one poison row kept every good row beside it from being delivered."""
    lab, run = processed
    assert run.success, run.errors
    assert run.materialized == set(TABLES)
    assert sorted(lab.table("validated_features")["interaction_id"]) == sorted(GOOD)
    rejected = lab.table("rejected_records").sort("source_uri", "source_line")
    names = rejected["source_uri"].str.split("/").list.last()
    assert list(zip(names, rejected["source_line"], rejected["stage"], rejected["reason"], strict=True)) == [
        ("chats.jsonl", 2, "landing", "malformed_json"),
        ("belgian.json", 1, "landing", "country_mismatch"),
        ("mails.jsonl.gz", 2, "extraction", "request_refused"),
        ("report.csv", 1, "landing", "unsupported_file"),
    ]
    assert rejected.filter(reason="request_refused")["interaction_id"].to_list() == [id_of(4)]
    assert POISON in rejected.filter(reason="request_refused")["payload"][0]


def test_the_sum_is_right_to_the_last_document(processed: tuple[Lab, Run]) -> None:
    _, run = processed
    assert run.checks["conservation"].description == "9 landed = 4 validated + 4 rejected + 1 duplicates"


def test_the_feature_group_serves_exactly_the_validated_features(processed: tuple[Lab, Run]) -> None:
    """What a model is given online must be what it was trained on."""
    lab, _ = processed
    for row in lab.table("validated_features").to_dicts():
        served = lab.online(row["interaction_id"])
        assert served is not None
        assert list(served) == [name for name in FEATURE_COLUMNS if row[name] is not None]
        assert served["event_time"] == "2025-03-04T08:30:00.000Z"
        assert [float(served[name]) for name in ("urgency_score", "csat_indicator")] == [
            row["urgency_score"], row["csat_indicator"],
        ]  # fmt: skip
        texts = set(served) - {"event_time", "urgency_score", "csat_indicator"}
        assert {name: served[name] for name in texts} == {name: row[name] for name in texts}
    assert "customer_id" not in lab.online(id_of(2))
    assert [lab.online(id_of(number)) for number in (4, 6, 7)] == [None] * 3


def test_the_features_are_the_models_answers_under_the_right_interactions(processed: tuple[Lab, Run]) -> None:
    """Answers come back in any order: joined by position, every feature would be somebody else's."""
    lab, _ = processed
    answers = {
        row["interaction_id"]: json.loads(row["answer"])
        for row in lab.table("llm_extractions").to_dicts()
        if row["answer"]
    }
    for row in lab.table("validated_features").to_dicts():
        assert {name: row[name] for name in ANSWER_FIELDS} == answers[row["interaction_id"]]
    assert len({json.dumps(answer) for answer in answers.values()}) == 4


def test_a_missing_language_is_detected_and_an_answer_says_which_prompt_and_model_made_it(
    processed: tuple[Lab, Run],
) -> None:
    lab, run = processed
    features = lab.table("validated_features")
    assert features.filter(interaction_id=id_of(3))["language"].to_list() == ["nl"]
    assert run.metadata("raw_interactions")["languages_detected"] == 1
    assert set(features["model_id"]) == {"eu.anthropic.claude-haiku-5-5"}
    assert set(features["prompt_version"]) == set(lab.table("llm_extractions")["prompt_version"])


COLUMNS = {
    "validated_features": list(VALIDATED_COLUMNS),
    "rejected_records": [
        "interaction_id", "source_uri", "source_line", "stage", "reason", "detail", "redrivable", "payload",
        "rejected_at",
    ],
}  # fmt: skip
AT_LEAST = {
    "llm_extractions": {
        "interaction_id", *ANSWER_FIELDS, "status", "request_hash", "model_id", "prompt_version", "input_tokens",
        "cache_read_tokens", "cache_write_tokens", "output_tokens", "cost_usd", "latency_ms", "attempts", "error",
    },
    "raw_interactions": {"interaction_id", "occurred_at", "country", "channel", "language", "customer_id", "status"},
    "feature_store": {
        "interaction_id",
        "event_time",
        "content_hash",
        "document_hash",
        "prompt_version",
        "model_id",
        "written_at",
        "group",
        "record",
    },
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_a_table_reads_the_same_in_polars_and_duckdb_and_keeps_the_contracts_columns(
    processed: tuple[Lab, Run], tmp_path: Path, table: str
) -> None:
    """Dashboards query these files by column name, with whatever reads Parquet."""
    lab, run = processed
    file = tmp_path / table / f"country=NL/date={DAY}" / "data.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(lab.table_bytes(table))
    by_polars = lab.table(table)
    if table in COLUMNS:
        assert by_polars.columns == COLUMNS[table]
    else:
        assert AT_LEAST[table] <= set(by_polars.columns)
    with duckdb.connect() as database:
        by_duckdb = database.execute(f"SELECT * FROM read_parquet('{file}', hive_partitioning = false)").fetchall()
        query = f"SELECT country, date, count(*) FROM read_parquet('{tmp_path}/{table}/*/*/*.parquet') GROUP BY ALL"
        assert database.execute(query).fetchall() == [("NL", DAY, by_polars.height)]
    assert [row[:4] for row in by_duckdb] == [row[:4] for row in by_polars.rows()]
    hive = pl.read_parquet(tmp_path / table / "**/*.parquet", hive_partitioning=True)
    assert hive.select("country", "date").unique().rows() == [("NL", DAY)]
    assert run.metadata(table)["rows"] == by_polars.height > 0


def test_no_number_of_a_run_is_plotted_together_with_those_of_other_countries(processed: tuple[Lab, Run]) -> None:
    """Dagster draws a line a key: each partition's figure followed another country's, and every plot was a zigzag."""
    _, run = processed
    events = [
        event.step_materialization_data.materialization for event in run.result.get_asset_materialization_events()
    ]
    found = [*events, *run.result.get_asset_check_evaluations()]
    numbers = (dg.IntMetadataValue, dg.FloatMetadataValue)
    plotted = [name for each in found for name, value in each.metadata.items() if isinstance(value, numbers)]
    assert len(plotted) > 50
    assert [name for name in plotted if not name.endswith("_NL")] == []


def test_duckdb_and_polars_read_the_tables_straight_from_the_bucket(processed: tuple[Lab, Run]) -> None:
    """The path is part of the contract: country and date come from it, and nothing has to be copied first."""
    lab, _ = processed
    endpoint = os.environ["AWS_ENDPOINT_URL_S3"]
    tables = f"s3://{lab.settings.data_bucket}/validated_features/**/data.parquet"
    package = importlib.util.find_spec("duckdb_extension_httpfs")
    assert package is not None
    assert package.submodule_search_locations
    extension = next(Path(package.submodule_search_locations[0]).rglob("*.duckdb_extension"))
    with duckdb.connect() as database:
        database.execute(f"LOAD '{extension}'")
        database.execute(
            "CREATE SECRET (TYPE s3, KEY_ID 'local', SECRET 'local', REGION 'eu-central-1', URL_STYLE 'path', "
            f"USE_SSL false, ENDPOINT '{endpoint.removeprefix('http://')}')"
        )
        query = f"SELECT interaction_id, date FROM read_parquet('{tables}', hive_partitioning = true) ORDER BY 1"
        by_duckdb = database.execute(query).fetchall()
    options = {"aws_endpoint_url": endpoint, "aws_region": "eu-central-1", "aws_allow_http": "true"}
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    by_polars = pl.read_parquet(tables, storage_options=options | keys, hive_partitioning=True)
    assert by_duckdb == by_polars.select("interaction_id", "date").sort("interaction_id").rows()
    assert [row[0] for row in by_duckdb] == sorted(lab.table("validated_features")["interaction_id"])


def test_one_partition_does_not_touch_another(processed: tuple[Lab, Run]) -> None:
    lab, _ = processed
    listed = lab.s3.list_objects_v2(Bucket=lab.settings.data_bucket).get("Contents", [])
    folders = {re.sub(r".*(country=\w+/date=[\d-]+).*", r"\1", item["Key"]) for item in listed}
    assert {folder for folder in folders if folder.startswith("country=")} == {f"country=NL/date={DAY}"}


# --- once more --------------------------------------------------------------------------------


def test_a_rerun_of_an_unchanged_day_asks_and_writes_nothing_again(lab: Lab) -> None:
    """A retry of a failed run, a backfill, a curious click: each would be paid for and written a second time."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(n) for n in range(3)]))
    assert lab.process().success
    served = [lab.online(id_of(n)) for n in range(3)]
    asked = len(lab.stack.answerer._attempts), sum(lab.stack.answerer._attempts.values())
    counts = [lab.calls(name) for name in ("BatchWriteRecord", "PutRecord", "DeleteRecord")]
    run = lab.process()
    assert run.success
    assert [run.metadata("feature_store")[name] for name in ("written", "withdrawn", "unchanged")] == [0, 0, 3]
    assert [lab.calls(name) for name in ("BatchWriteRecord", "PutRecord", "DeleteRecord")] == counts
    assert (len(lab.stack.answerer._attempts), sum(lab.stack.answerer._attempts.values())) == asked
    assert [lab.online(id_of(n)) for n in range(3)] == served
    assert run.metadata("llm_extractions")["cost_usd"] == 0


def test_what_changed_is_replaced_what_vanished_is_deleted_and_the_rest_is_left_alone(lab: Lab) -> None:
    """A correction has the same event time as what it corrects, and the online store keeps the older of two such
    records: the wrong features stayed. A document withdrawn for privacy stayed as well."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(0), document(1), document(2)]))
    lab.process()
    before = lab.online(id_of(1))
    lab.land(
        "NL",
        DAY,
        "a.jsonl",
        jsonl([document(0), document(1, turns=says("Alles is goed gekomen, dank!"), customer_id="new")]),
    )
    run = lab.process()
    assert run.success, run.errors
    features = {row["interaction_id"]: row for row in lab.table("validated_features").to_dicts()}
    assert set(features) == {id_of(0), id_of(1)}
    after = lab.online(id_of(1))
    assert after is not None
    assert after["summary"] == features[id_of(1)]["summary"] != before["summary"]
    assert after["customer_id"] == "new"
    assert lab.online(id_of(2)) is None
    assert lab.online(id_of(0)) is not None
    assert [run.metadata("feature_store")[name] for name in ("written", "withdrawn", "unchanged")] == [1, 1, 1]
    assert sorted(lab.table("feature_store")["interaction_id"]) == sorted(features)


def test_a_correction_of_what_the_model_does_not_see_is_written_without_asking_it(lab: Lab) -> None:
    """The customer's id is in the record and not in the prompt."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(0), document(1)]))
    lab.process()
    asked = sum(lab.stack.answerer._attempts.values())
    lab.land("NL", DAY, "a.jsonl", jsonl([document(0), document(1, customer_id="corrected")]))
    run = lab.process()
    assert run.success, run.errors
    assert lab.online(id_of(1))["customer_id"] == "corrected"
    assert sum(lab.stack.answerer._attempts.values()) == asked


def test_a_day_without_documents_writes_every_table_empty_and_withdraws_what_a_person_lets_go(lab: Lab) -> None:
    """An emptied folder left yesterday's tables in place: deleted customers were still trained on. Then it emptied the
    store by itself, also when the bucket was only the wrong one (fault 3)."""
    landed = lab.land("NL", DAY, "a.jsonl", jsonl([document(0), b"broken"]))
    lab.process()
    types = {table: lab.table(table).schema for table in TABLES}
    lab.unland(landed)
    stopped = lab.process()
    assert not stopped.success
    assert "The landing folder holds no document, and 1 of 1 records (1 gone) would be withdrawn" in stopped.errors
    assert lab.online(id_of(0)) is not None
    run = lab.process(run_config={"ops": {"feature_store": {"config": {"allow_deletions": True}}}})
    assert run.success, run.errors
    assert run.materialized == set(TABLES)
    assert {name for name, check in run.checks.items() if not check.passed} == set()
    for table in TABLES:
        assert lab.table(table).height == 0
        assert lab.table(table).schema == types[table]
    assert types["raw_interactions"] == RAW_SCHEMA
    assert types["llm_extractions"] == EXTRACTIONS_SCHEMA
    assert types["feature_store"] == MANIFEST_SCHEMA
    assert lab.online(id_of(0)) is None


def test_the_publisher_by_itself_refuses_rows_that_break_the_schema(lab: Lab) -> None:
    """A blocking check binds its own run only: materialized alone the next day, the store took the bad rows."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(0), document(1)]))
    lab.process(only=["raw_interactions", "llm_extractions", "validated_features", "rejected_records"])
    lab.overwrite("validated_features", lambda it: it.with_columns(urgency_score=pl.Series([0.5, 7.0])))
    run = lab.process(only=["feature_store"])
    assert not run.success
    assert run.materialized == set()
    assert "nothing was published, because 1 rows of validated_features break its schema" in run.errors
    assert [lab.online(id_of(n)) for n in range(2)] == [None, None]


def test_a_step_whose_input_was_never_made_says_what_to_materialize(lab: Lab) -> None:
    run = lab.process(only=["feature_store"])
    assert "raw_interactions has no NL 2025-03-04: materialize it first" in run.errors


@pytest.mark.parametrize("changes", [{}, {"language": ...}], ids=["language stated", "language detected"])
def test_a_byte_order_mark_does_not_fail_the_day(lab: Lab, changes: dict[str, Any]) -> None:
    """Windows exporters write it. It was accepted by the reader, and the next step could not parse the payload."""
    lab.land("NL", DAY, "a.json", b"\xef\xbb\xbf" + json.dumps(document(1, **changes)).encode())
    run = lab.process(only=["raw_interactions", "llm_extractions"])
    assert run.success, run.errors
    assert lab.table("llm_extractions")["status"].to_list() == ["answered"]


def test_malformed_answers_are_rejected_and_no_run_fails_of_them(lab: Lab) -> None:
    """A model that leaves its schema is an everyday event, and each answer says which field was wrong."""
    lab.stack.answerer.script = Script(malformed_rate=1.0, malformed_kinds=("outside_enum", "out_of_range"))
    lab.land("NL", DAY, "a.jsonl", jsonl([document(0)]))
    run = lab.process()
    assert run.success, run.errors
    (row,) = lab.table("rejected_records").to_dicts()
    assert (row["stage"], row["reason"], row["redrivable"]) == ("extraction", "invalid_answer", True)
    assert re.match(r"(sentiment|urgency_score): ", row["detail"])
    (extraction,) = lab.table("llm_extractions").to_dicts()
    assert extraction["status"] == "failed"
    assert extraction["cost_usd"] > 0
    assert extraction["attempts"] == 3 + 1, "one repair, one fresh call, and the control: nothing was answered"


def test_haiku_4_5_serves_a_partition_too(make_lab: MakeLab) -> None:
    """The other quirks: a temperature is sent, and the cache's minimum is eight times as high."""
    lab = make_lab(model_id=HAIKU_4_5)
    lab.land("NL", DAY, "a.jsonl", jsonl([document(0)]))
    run = lab.process()
    assert run.success, run.errors
    assert lab.online(id_of(0))["model_id"] == HAIKU_4_5


# --- what is missing is said in one sentence --------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "variable"),
    [
        ({"landing_bucket": "no-such-landing"}, "CS_FEATURES_LANDING_BUCKET"),
        ({"data_bucket": "no-such-data"}, "CS_FEATURES_DATA_BUCKET"),
        ({"feature_group": "no-such-group"}, "CS_FEATURES_FEATURE_GROUP"),
        ({"prompts_dir": Path("/nowhere")}, "CS_FEATURES_PROMPTS_DIR"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_thing_that_does_not_exist_is_named_with_the_setting_to_change(
    make_lab: MakeLab, wrong: dict[str, Any], variable: str
) -> None:
    """`NoSuchBucket` in a traceback of ninety lines does not say which of two buckets, nor where it is set."""
    lab = make_lab()
    lab.land("NL", DAY, "a.jsonl", jsonl([document(0)]))
    run = lab.with_settings(**wrong).process()
    assert not run.success
    told = [line for line in run.errors.splitlines() if variable in line]
    assert told
    assert str(next(iter(wrong.values()))) in told[0]


def test_a_model_that_nobody_knows_is_refused_before_anything_runs(lab: Lab) -> None:
    """Fault 48: it loaded, and launched 24 runs that could only fail."""
    with pytest.raises(UnknownModelError, match=r"^CS_FEATURES_MODEL_ID is 'eu"):
        _ = lab.with_settings(model_id="eu.anthropic.claude-haiku-9").definitions


# --- the code location ------------------------------------------------------------------------


def test_the_names_that_others_rely_on_have_not_changed() -> None:
    """Alarms, dashboards and scripts name assets, checks, the job and the sensor."""
    repository = definitions.defs.get_repository_def()
    graph = repository.asset_graph
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} >= set(TABLES)
    assert sorted(
        (key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys if key.asset_key.path[0] in TABLES
    ) == [
        ("llm_extractions", "copied_summaries"),
        ("llm_extractions", "cost_per_interaction"),
        ("llm_extractions", "latency_p95"),
        ("llm_extractions", "prompt_cache_hits"),
        ("raw_interactions", "erased_landed"),
        ("raw_interactions", "id_conflicts"),
        ("raw_interactions", "quality_floor"),
        ("rejected_records", "rejected_share"),
        ("validated_features", "conservation"),
        ("validated_features", "extraction_failures"),
        ("validated_features", "one_door"),
        ("validated_features", "schema"),
    ]
    assert "process_interactions" in {job.name for job in repository.get_all_jobs()}
    assert "landing_sensor" in {sensor.name for sensor in repository.sensor_defs}
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in map(dg.AssetKey, TABLES)
    }
    assert parents == {
        "raw_interactions": {"landed_documents"},
        "llm_extractions": {"country_prompts", "raw_interactions"},
        "validated_features": {"raw_interactions", "llm_extractions"},
        "rejected_records": {"raw_interactions", "llm_extractions"},
        "feature_store": {"raw_interactions", "validated_features", "rejected_records"},
    }


def test_the_job_runs_every_asset_and_every_check_of_one_partition() -> None:
    """A check that is defined and not in the job is never evaluated, and nobody misses it."""
    job = definitions.defs.resolve_job_def("process_interactions")
    selected = job.asset_layer
    assert {key.to_user_string() for key in selected.executable_asset_keys} == set(TABLES)
    assert {key.name for key in selected.asset_graph.asset_check_keys} == {
        key.name for step in definitions.CHECKS for key in step.check_keys if key.asset_key.path[0] in TABLES
    } | {"id_conflicts", "erased_landed"}  # which the raw step itself decides
    assert job.partitions_def.has_partition_key(Partition("NL", DAY).key)
    assert job.executor_def.name == "in_process"


def test_the_checks_before_the_extraction_and_before_the_store_are_blocking() -> None:
    specs = {spec.name: spec.blocking for check in definitions.CHECKS for spec in check.check_specs}
    assert {name for name, blocking in specs.items() if blocking} == {
        "quality_floor",
        "schema",
        "conservation",
        "one_door",
        "extraction_failures",
    }


def test_workspace_yaml_loads_the_definitions_from_the_projects_folder() -> None:
    """`dagster dev` in the folder of the project is all that a user types."""
    (origin,) = WorkspaceFileTarget([str(REPOSITORY / "workspace.yaml")]).create_origins()
    target = origin.loadable_target_origin
    assert target.module_name == "cs_features.definitions"
    assert (REPOSITORY / target.working_directory).resolve() == REPOSITORY
    module = importlib.import_module(target.module_name)
    assert [name for name, value in vars(module).items() if isinstance(value, dg.Definitions)] == ["defs"]
    dg.Definitions.validate_loadable(module.defs)


def test_pyproject_does_not_keep_dagster_from_reading_workspace_yaml() -> None:
    """With [tool.dg] Dagster loaded no location at all and still said that all had passed."""
    text = (REPOSITORY / "pyproject.toml").read_text()
    assert not re.findall(r"^\s*\[+\s*tool\.[\"']?(dagster|dg)\b", text, re.MULTILINE)


def test_rejections_are_dated_by_the_run_that_made_them(processed: tuple[Lab, Run]) -> None:
    lab, _ = processed
    (moment,) = set(lab.table("rejected_records")["rejected_at"])
    assert lab.table("raw_interactions")["listed_at"][0] <= moment <= datetime.now(timezone.utc)
