"""The account's own quota, where nobody states one: asked once a day, kept on the host and in the bucket."""

import json
import logging
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cs_features.extraction import service_quotas
from cs_features.extraction.account_quota import (
    COUNTS_FOR,
    LEAST,
    MOST,
    UNKNOWN_FOR,
    AccountQuota,
    KeptQuota,
    note_listed_quotas,
    note_no_answer,
    parse_kept_quota,
)
from cs_features.extraction.quota import Quota
from cs_features.services import build_services_from
from cs_features_tests.support.aws_answers import (
    HAIKU,
    HAIKU_TOKENS,
    SERVICE_QUOTAS,
    answering,
    counting,
    listing_quotas,
    refusing,
)
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.lab import Lab

NOW = datetime(2026, 11, 28, 8, tzinfo=timezone.utc)
WHOSE = {"data_bucket": "cs-data", "region": "eu-central-1", "model_id": "eu.anthropic.claude-haiku-5-5"}
KNOWN = KeptQuota(**WHOSE, requests_per_minute=1_200, read_at=NOW, ask_again_at=NOW + COUNTS_FOR)  # type: ignore[arg-type]
THAT = Quota(1_200, 2_000_000)


def account_quota(lab: Lab, host: Path) -> AccountQuota:
    """As a run on a host finds it that has this folder."""
    host.mkdir(exist_ok=True)
    return AccountQuota(build_services_from(lab.settings).data.bucket(), lab.settings.model_id, host)


def stored(lab: Lab) -> KeptQuota:
    quota = account_quota(lab, Path(tempfile.mkdtemp()))
    return KeptQuota.model_validate_json(quota._bucket.get(quota._key) or b"")


def age(lab: Lab, host: Path, by: timedelta) -> None:
    """As if what is kept, in the bucket and on this host, had been kept so much earlier."""
    quota, kept = account_quota(lab, host), stored(lab)
    earlier = kept.model_copy(update={"ask_again_at": kept.ask_again_at - by})
    quota._keep_in_bucket(earlier)
    quota._keep_on_host(earlier)


def tell() -> Any:
    return listing_quotas({HAIKU: 1_200, HAIKU_TOKENS: 2_000_000}, account="210987654321")


def refuse() -> Any:
    return refusing(SERVICE_QUOTAS, "AccessDeniedException", "servicequotas:ListServiceQuotas")


# --- asked once -------------------------------------------------------------------------------


def test_a_host_asks_once_and_then_nobody(lab: Lab, tmp_path: Path) -> None:
    """Service Quotas is half a dozen pages, and throttled early; a rerun after one more file has 32 requests."""
    with tell(), counting(SERVICE_QUOTAS) as asked, counting("s3.*") as requests:
        assert account_quota(lab, tmp_path / "host").find_quota() == THAT
        assert (len(asked), len(requests)) == (1, 2)
        assert account_quota(lab, tmp_path / "host").find_quota() == THAT
        assert (len(asked), len(requests)) == (1, 2)


def test_a_new_host_reads_it_from_the_bucket(lab: Lab, tmp_path: Path) -> None:
    """A task on ECS is always on a new host."""
    with tell():
        account_quota(lab, tmp_path / "one").find_quota()
    with counting(SERVICE_QUOTAS) as asked, counting("s3.*") as requests:
        for _ in range(2):
            assert account_quota(lab, tmp_path / "other").find_quota() == THAT
    assert (len(asked), len(requests)) == (0, 1)


def test_after_a_day_it_is_asked_again(lab: Lab, tmp_path: Path) -> None:
    """A quota that AWS has raised, or taken away, is used the day after."""
    with tell():
        account_quota(lab, tmp_path / "host").find_quota()
    age(lab, tmp_path / "host", COUNTS_FOR)
    with listing_quotas({HAIKU: 2_400}):
        assert account_quota(lab, tmp_path / "host").find_quota() == Quota(2_400)
    assert stored(lab).quota == Quota(2_400)


def test_the_record_says_whose_it_is(lab: Lab, tmp_path: Path) -> None:
    with tell():
        account_quota(lab, tmp_path / "host").find_quota()
    kept = stored(lab)
    assert kept.account == "210987654321"
    assert (kept.data_bucket, kept.region) == (lab.settings.data_bucket, "eu-central-1")
    assert kept.model_id == lab.settings.model_id
    assert kept.read_at is not None


# --- not known --------------------------------------------------------------------------------

UNKNOWN: dict[str, Callable[[], Any]] = {
    "no permission": refuse,
    "throttled": lambda: refusing(SERVICE_QUOTAS, "TooManyRequestsException", status=429),
    "down": lambda: refusing(SERVICE_QUOTAS, "ServiceException", status=500),
    "a proxy's page": lambda: answering(SERVICE_QUOTAS, "<html>Welcome</html>"),
    "another shape": lambda: answering(SERVICE_QUOTAS, '{"Quotas": {"QuotaName": 1}}'),
    "nothing at all": lambda: answering(SERVICE_QUOTAS, "{}"),
    "no number": lambda: answering(SERVICE_QUOTAS, json.dumps({"Quotas": [{"QuotaName": HAIKU, "Value": "many"}]})),
    "not listed": lambda: listing_quotas({}),
    "a quota of nothing": lambda: listing_quotas({HAIKU: 0, HAIKU_TOKENS: -1}),
    "an absurd one": lambda: listing_quotas({HAIKU: 1e300, HAIKU_TOKENS: float("inf")}),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_cannot_be_known_is_told_once_and_stops_nobody(
    lab: Lab, tmp_path: Path, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is found by adapting to throttles, as before; and not every run of the hour asks again."""
    with ExitStack() as planted, caplog.at_level(logging.WARNING):
        planted.enter_context(UNKNOWN[case]())
        assert account_quota(lab, tmp_path / "host").find_quota() == Quota()
        (told,) = caplog.messages
        assert told.startswith("No quota is stated, the account's is not known")
        assert "\n" not in told
        with counting(SERVICE_QUOTAS) as asked:
            for host in ("host", "other"):
                assert account_quota(lab, tmp_path / host).find_quota() == Quota()
        assert (len(asked), len(caplog.messages)) == (0, 1)
    age(lab, tmp_path / "host", UNKNOWN_FOR)
    with tell():
        assert account_quota(lab, tmp_path / "host").find_quota() == THAT


def test_a_service_that_takes_its_time_is_not_waited_for(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_quotas, "PATIENCE_SECONDS", 0.0)
    with tell():
        assert account_quota(lab, tmp_path / "host").find_quota() == Quota()


def test_no_answer_is_not_another_answer(lab: Lab, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A permission that somebody took away, or a bad minute of the service, says nothing of the quota."""
    with tell():
        account_quota(lab, tmp_path / "host").find_quota()
    age(lab, tmp_path / "host", COUNTS_FOR)
    with refuse(), counting(SERVICE_QUOTAS) as asked:
        for host in ("host", "other", "host"):
            assert account_quota(lab, tmp_path / host).find_quota() == THAT
    assert len(asked) == 1, "and it is asked again in an hour"
    assert caplog.messages == []


def test_what_another_host_was_answered_meanwhile_stands(lab: Lab, tmp_path: Path) -> None:
    """Four hosts begin the day together, and Service Quotas throttles three of them: their "not known" was written
    over what the first one had read."""
    early = account_quota(lab, tmp_path / "early")

    class Late(AccountQuota):
        def _ask_service_quotas(self, now: datetime) -> KeptQuota:
            early._keep_in_bucket(note_listed_quotas(self._whose, {"requests": {"Value": 1_200.0}}, now))
            return super()._ask_service_quotas(now)

    with refuse():
        assert Late(early._bucket, lab.settings.model_id, tmp_path).find_quota() == Quota(1_200)
    assert stored(lab).quota == Quota(1_200)


def test_without_bucket_and_host_folder_it_is_known_all_the_same(lab: Lab, tmp_path: Path) -> None:
    """A full disk, a bucket that refuses: a memory that cannot be kept costs a question, and no run."""
    host = tmp_path / "host"
    host.write_text("a file in the folder's place")
    bucket = build_services_from(lab.settings).data.bucket()
    with tell(), ExitStack() as planted:
        for operation in ("s3.GetObject", "s3.PutObject"):
            planted.enter_context(refusing(operation, "AccessDenied", status=403))
            assert AccountQuota(bucket, lab.settings.model_id, host).find_quota() == THAT


# --- whose record -----------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "value"), [(name, f"{value}-2") for name, value in WHOSE.items()])
def test_a_record_of_something_else_is_none(field: str, value: str) -> None:
    """A record copied with its bucket into another region named a quota that nobody has there."""
    assert parse_kept_quota(KNOWN.model_dump_json().encode(), WHOSE) == KNOWN
    assert parse_kept_quota(KNOWN.model_copy(update={field: value}).model_dump_json().encode(), WHOSE) is None


def test_what_other_versions_have_added_is_passed_over() -> None:
    later = {**json.loads(KNOWN.model_dump_json()), "tokens_per_day": 7, "account": "x"}
    kept = parse_kept_quota(json.dumps(later).encode(), WHOSE)
    assert kept is not None
    assert kept.quota == KNOWN.quota


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(
    body=st.none()
    | st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(sorted(KeptQuota.model_fields)), JSON, max_size=4).map(
        lambda changed: json.dumps({**json.loads(KNOWN.model_dump_json()), **changed}).encode()
    )
)
@example(body=None)
@example(body=b"")
@example(body=KNOWN.model_dump_json().encode()[:-9])
def test_a_damaged_record_is_none_and_never_a_pace_that_cannot_be(body: bytes | None) -> None:
    kept = parse_kept_quota(body, WHOSE)
    if kept is not None:
        for figure in (kept.requests_per_minute, kept.tokens_per_minute):
            assert figure is None or LEAST <= figure <= MOST


@pytest.mark.parametrize(
    ("after", "due"),
    [
        (timedelta(0), False),
        (COUNTS_FOR - timedelta(seconds=1), False),
        (COUNTS_FOR, True),
        (timedelta(days=400), True),
        (-timedelta(seconds=1), True),
    ],
)
def test_a_record_counts_for_a_day_and_not_for_years_because_a_clock_was_wrong(after: timedelta, due: bool) -> None:
    assert KNOWN.is_due(NOW + after) is due


def test_one_figure_that_cannot_be_meant_leaves_the_other() -> None:
    kept = note_listed_quotas(WHOSE, {"requests": {"Value": 0.0}, "tokens": {"Value": 5e6}}, NOW)
    assert kept.quota == Quota(None, 5e6)
    assert kept.ask_again_at == NOW + COUNTS_FOR


def test_no_answer_is_kept_for_an_hour() -> None:
    assert note_no_answer(WHOSE, None, NOW).quota == Quota()
    assert note_no_answer(WHOSE, None, NOW).ask_again_at == NOW + UNKNOWN_FOR
    again = note_no_answer(WHOSE, KNOWN, NOW)
    assert (again.quota, again.read_at) == (KNOWN.quota, KNOWN.read_at)
    assert again.ask_again_at == NOW + UNKNOWN_FOR


# --- in runs ----------------------------------------------------------------------------------


def test_a_run_asks_before_its_first_call_and_not_where_the_ledger_has_all(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab.with_settings(requests_per_minute=None)
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2)]))
    with tell(), counting(SERVICE_QUOTAS) as asked:
        assert lab.process().success
        assert len(asked) == 1
        age(lab, tmp_path, COUNTS_FOR)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # another host
        with counting("s3.GetObject") as read:
            assert lab.process().success
    assert len(asked) == 1
    assert [each["Key"] for each in read if each["Key"].startswith("quota/")] == []


def test_a_run_with_a_stated_quota_asks_nobody(make_lab: Callable[..., Lab]) -> None:
    """Of either kind: who states one has thought of the other."""
    for stated in ({"requests_per_minute": 60_000}, {"tokens_per_minute": 9e9}):
        lab = make_lab(**stated)
        lab.land("NL", DAY, "a.jsonl", jsonl([document(1)]))
        with counting(SERVICE_QUOTAS) as asked:
            assert lab.process().success
        assert asked == []


def test_a_run_goes_on_where_service_quotas_refuses(lab: Lab) -> None:
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1)]))
    with refuse():
        assert lab.process().success
