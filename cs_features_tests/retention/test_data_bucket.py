"""What is swept of the data bucket: old ledgers and spending, notices that were read; and nothing in a dry run."""

from datetime import datetime, timedelta, timezone

from cs_features.extraction.spending import Spent, format_spending_key
from cs_features.retention.data_bucket import list_bucket_sweepers
from cs_features.retention.rules import Ages
from cs_features.retention.sweeps import apply_retention_sweepers
from cs_features_tests.support.lab import Lab

NOW = datetime.now(timezone.utc)
A_DAY = timedelta(days=1)
AGES = Ages(runs=A_DAY, logs=A_DAY, notices=A_DAY, ledgers=timedelta(days=60))
# S3 dates what is written now, so the sweep comes later.
LATER = NOW + timedelta(days=90)
TODAY, LONG_AGO = NOW.date(), NOW.date() - timedelta(days=100)
NEXT_WEEK = LATER.date() - timedelta(days=7)


def put(lab: Lab, key: str) -> str:
    lab.s3.put_object(Bucket=lab.settings.data_bucket, Key=key, Body=b"1234567890")
    return key


def list_history_keys(lab: Lab) -> set[str]:
    found = lab.s3.list_objects_v2(Bucket=lab.settings.data_bucket).get("Contents", [])
    return {item["Key"] for item in found}


def test_old_ledgers_and_spending_go_and_what_is_young_or_not_by_day_stays(lab: Lab) -> None:
    old = {
        put(lab, f"ledger/country=NL/date={LONG_AGO}/part-1.jsonl"),
        put(lab, format_spending_key(Spent(LONG_AGO, "country=NL/x", "a" * 32, 1.0))),
    }
    kept = {
        put(lab, f"ledger/country=NL/date={NEXT_WEEK}/part-1.jsonl"),
        put(lab, "ledger/golden/country=NL/language=nl/part-1.jsonl"),
        put(lab, format_spending_key(Spent(NEXT_WEEK, "country=NL/x", "a" * 32, 1.0))),
        put(lab, f"spending/month={LONG_AGO:%Y-%m}/{LONG_AGO}-1.000000000.json"),
        put(lab, f"superseded/country=NL/date={LONG_AGO}/BE-{LONG_AGO}.json"),
        put(lab, f"listings/country=NL/date={LONG_AGO}.json"),
        put(lab, f"validated_features/country=NL/date={LONG_AGO}/data.parquet"),
    }
    sweepers = list_bucket_sweepers(lab.resources["data"].tables(), AGES)
    counted = apply_retention_sweepers(sweepers, LATER, True)
    assert list_history_keys(lab) == old | kept, "a dry run removed something"
    assert apply_retention_sweepers(sweepers, LATER, False) == counted
    assert list_history_keys(lab) == kept
    assert [(each.what, each.examined, each.removed, each.bytes_freed) for each in counted] == [
        ("notices that were read", 1, 0, 0),
        ("ledgers", 3, 1, 10),
        ("amounts spent", 2, 1, 10),
    ]
