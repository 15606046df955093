"""A run reads what it has not read, and its table and counts are those of a run that reads everything."""

import ast
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from cs_features.landing import documents
from cs_features.landing.documents import SHAPED_BY_MODULES, DocumentReader
from cs_features.landing.earlier import FIRST_SEEN, read_earlier_tables
from cs_features.monitoring import kept_counts
from cs_features_tests.support.documents import document, jsonl
from cs_features_tests.support.histories import NL, Histories, Killed
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3
from cs_features_tests.support.refusing_s3 import refuse_objects

FIRST = json.dumps(document(1, text="te laat", turns=...)).encode()
CORRECTION = json.dumps(document(1, text="op tijd", turns=...)).encode()


@pytest.fixture
def past() -> Histories:
    return Histories()


def count_reads(history: Histories, run: Any) -> Counter[str]:
    """GETs during `run`, by the bucket's first folder."""
    found: Counter[str] = Counter()

    def watch(s3: MemoryS3) -> None:
        get_object = s3.get_object

        def counting_get(**request: Any) -> Any:
            found[request["Key"].split("/")[0]] += 1
            return get_object(**request)

        s3.get_object = counting_get  # type: ignore[method-assign]

    watch(history.landing)
    watch(history.data)
    run()
    return found


# --- what is read -----------------------------------------------------------------------------


def test_one_more_file_is_two_reads_whatever_was_there_before(past: Histories) -> None:
    """A trickle cost 1,424 requests a new file: each run read its day from the beginning, twice."""
    for number in range(40):
        past.land(f"{number}.json", json.dumps(document(number)).encode())
    past.run()
    past.land("new.json", json.dumps(document(99)).encode())
    reads = count_reads(past, past.run)
    assert reads["interactions"] == 2  # by the reader, and by the count that does not believe it
    assert past.held().height == 41


def test_an_unchanged_folder_is_not_read_at_all(past: Histories) -> None:
    past.land("a.jsonl", jsonl([document(1), document(2), document(2)]))
    past.land("b.csv", b"no documents")
    past.run()
    before = past.held()
    assert count_reads(past, past.run)["interactions"] == 0
    assert past.held().drop("listed_at").equals(before.drop("listed_at"))


def test_rows_of_another_version_of_the_reader_are_made_anew(past: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory says whose it is: a mended rule would have held for new files only, for ever."""
    past.land("a.json", json.dumps(document(1, language=...)).encode())
    past.run()
    monkeypatch.setattr(documents, "detect_language", lambda text, languages: "xx")
    past.run()
    assert past.held()["language"].to_list() == ["nl"], "the same version is believed"
    monkeypatch.setattr(documents, "SHAPED_BY_MODULES", SHAPED_BY_MODULES[1:])
    past.run()
    assert past.held()["language"].to_list() == ["xx"]


def test_rows_that_were_made_for_other_languages_are_made_anew() -> None:
    """A country's file names another language; its old rows would have kept the neighbour's."""
    assert DocumentReader(NL, ("nl", "en")).version != DocumentReader(NL, ("nl", "fr")).version


def test_what_shapes_a_row_is_in_its_version() -> None:
    """The module that masks texts was added, and rows made before it were taken for masked."""
    package = Path(documents.__file__).parents[1]
    found: set[str] = set()
    waiting = ["cs_features.landing.documents"]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        path = package.parent / name.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        tree = ast.parse(path.read_bytes())
        imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
        waiting += [each for each in imported if each.startswith("cs_features.")]
    covered = {name for name in found if any(f"{name}.".startswith(f"{each}.") for each in SHAPED_BY_MODULES)}
    assert sorted(found - covered) == []


def test_a_count_of_another_version_of_the_counter_is_made_anew(
    past: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.land("a.json", FIRST)
    past.run()
    monkeypatch.setattr(kept_counts, "COUNTED_BY_MODULES", kept_counts.COUNTED_BY_MODULES[1:])
    assert count_reads(past, past.run)["interactions"] == 1


def test_counts_that_are_no_table_are_made_anew(past: Histories) -> None:
    """They are a memory that spares requests: half of one stopped every run of its partition, and the inventory."""
    past.land("a.json", FIRST)
    past.run()
    past.tables.bucket.put(past.tables.key(kept_counts.COUNTS, NL), b"PAR1")
    assert count_reads(past, lambda: past.run(is_nightly=True))["interactions"] == 1
    assert count_reads(past, past.run)["interactions"] == 0


def test_a_count_is_believed_for_a_week_and_made_anew_by_the_reconciliation(past: Histories) -> None:
    """What is counted once for ever is not independent of anything any more."""
    past.land("a.json", FIRST)
    past.run()
    assert count_reads(past, lambda: past.run(is_nightly=True))["interactions"] == 0
    past.landing.puts += 7 * 24 * 3600
    assert count_reads(past, lambda: past.run(is_nightly=True))["interactions"] == 1


def test_a_file_of_the_same_size_with_other_content_is_counted_anew(past: Histories) -> None:
    """One of two equal lines was corrected in place: kept by size, a duplicate would be missing for ever."""
    past.land("a.jsonl", jsonl([document(1), document(1)]))
    assert past.run() == (2, 1)
    past.land("a.jsonl", jsonl([document(1), document(2)]))
    assert past.run() == (2, 0)


def test_an_object_that_could_not_be_read_is_asked_for_until_it_can_be(past: Histories) -> None:
    """Its reject has the ETag of the listing, and looked like a row that was read."""
    past.land("a.json", FIRST)
    get_object = past.landing.get_object
    refuse_objects(past.landing, past.key("a.json"))
    past.run()
    assert past.held()["reason"].to_list() == ["unreadable_object"]
    past.landing.get_object = get_object  # type: ignore[method-assign]
    past.run()
    assert past.held()["status"].to_list() == ["accepted"]


# --- first sight ------------------------------------------------------------------------------


def test_a_content_that_comes_back_after_any_number_of_runs_is_as_old_as_when_it_was_first_seen(
    past: Histories,
) -> None:
    """What one run forgot, the next believed: a restore of what two runs before had replaced undid a correction."""
    past.land("a.json", FIRST)
    past.run()
    first_seen = past.held()["landed_at"][0]
    for number in range(3):
        past.land("a.json", json.dumps(document(5, text=f"anders {number}", turns=...)).encode())
        past.run()
    past.land("b.json", CORRECTION)
    past.run()
    past.land("a.json", FIRST)
    past.run()
    accepted = past.held().filter(status="accepted")
    assert [json.loads(payload)["text"] for payload in accepted["payload"]] == ["op tijd"]
    restored = past.held().filter(pl.col("source_uri").str.ends_with("a.json"))
    assert restored["landed_at"].to_list() == [first_seen]


def test_an_unchanged_object_with_an_earlier_date_is_as_old_as_that_says(past: Histories) -> None:
    """A clock that goes back dates a re-delivery before the delivery: the row that is kept said otherwise."""
    past.landing.puts = 100
    past.land("a.json", FIRST)
    past.run()
    past.landing.puts = 50
    past.land("a.json", FIRST)
    expected = past.read_everything()
    past.run()
    assert past.held()["landed_at"].to_list() == expected["landed_at"].to_list() == [EIGHT + timedelta(seconds=51)]


def test_a_first_sight_outlives_a_run_that_dies_as_the_content_comes_back(past: Histories) -> None:
    """Taken from the one memory before it was in the other: what is known is only ever added to."""
    for body in (FIRST, CORRECTION):
        past.land("a.json", body)
        past.run()
    (first_seen,) = [moment for content, moment in read_earlier_tables(past.tables, NL).departed.items()]
    past.land("a.json", FIRST)
    past.land("b.json", b"broken")
    write = past.tables.write

    def die_at_the_table(table: str, *arguments: Any) -> int:
        if table == "raw_interactions":
            raise Killed
        return write(table, *arguments)

    past.tables.write = die_at_the_table  # type: ignore[method-assign]
    past.run()
    past.tables.write = write  # type: ignore[method-assign]
    past.land("a.json", CORRECTION)
    past.run()
    past.land("a.json", FIRST)
    past.run()
    assert past.held().filter(pl.col("source_uri").str.ends_with("a.json"))["landed_at"].to_list() == [first_seen]


def test_nothing_is_written_about_first_sights_while_nothing_leaves(past: Histories) -> None:
    for number in range(3):
        past.land(f"{number}.json", json.dumps(document(number)).encode())
        past.run()
    assert past.tables.read(FIRST_SEEN, NL) is None


# --- any history ------------------------------------------------------------------------------

NAMES = ("a.jsonl", "b.jsonl", "c.json", "d.csv")
lines = st.builds(
    lambda number, text: json.dumps(document(number, turns=..., text=text)).encode(),
    st.integers(0, 2),
    st.sampled_from(["een", "twee"]),
)
bodies = st.lists(st.one_of(lines, st.just(b"broken")), min_size=1, max_size=3).map(b"\n".join)
landings = st.tuples(st.just("land"), st.sampled_from(NAMES), bodies)
deletions = st.tuples(st.just("unland"), st.sampled_from(NAMES))
clocks = st.tuples(st.just("clock"), st.integers(-500, 500))
changes = st.one_of(landings, landings, deletions, clocks)
runs = st.tuples(st.just("run"), st.booleans())
endings = st.sampled_from([("killed",), ("fail", 503), ("fail", 403)])
# A run before whose so manieth call something changes, or it dies.
disturbed = st.tuples(st.just("disturbed"), st.integers(1, 18), st.one_of(changes, endings))


def refusal(status: int) -> ClientError:
    """S3 is down, or does not give this object, or not this page of a listing."""
    error = {"Code": "AccessDenied" if status == 403 else "SlowDown", "Message": ""}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, "S3")  # type: ignore[arg-type]


def happen(history: Histories, step: tuple[Any, ...]) -> None:
    if step[0] == "land":
        history.land(*step[1:])
    elif step[0] == "unland":
        history.unland(step[1])
    elif step[0] == "clock":
        history.landing.puts = max(0, history.landing.puts + step[1])
    elif step[0] == "killed":
        raise Killed
    elif step[0] == "fail":
        raise refusal(step[1])
    elif step[0] == "run":
        history.run(is_nightly=step[1])
    else:
        history.interrupt(step[1], lambda: happen(history, step[2]))
        history.run()


@pytest.mark.heavy
@settings(max_examples=60)
@given(st.lists(st.one_of(changes, runs, disturbed), max_size=12))
def test_at_any_history_table_and_counts_are_those_of_a_run_from_nothing(steps: list[tuple[Any, ...]]) -> None:
    """A file that changes all the time, a clock that goes back, objects replaced between listing and reading, a
    listing that fails half-way, runs that die before any call: nothing of it may be left in what is kept."""
    history = Histories()
    for step in steps:
        happen(history, step)
    expected = history.read_everything()
    landed = history.run()
    assert history.held().drop("listed_at").equals(expected.drop("listed_at"))
    assert landed == history.count_everything()
    assert landed == (expected.height, expected.filter(status="duplicate").height)
