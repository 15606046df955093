"""The account's own quota of a model, for runs to which nobody states one: how long it counts, and where it is kept.

Service Quotas is asked about once a day. What it says is kept in the host folder, and in the data bucket, because a
task is always on a new host. Nothing here stops a run: what is not known is found by adapting to throttles. Not here:
how Service Quotas is asked (`service_quotas.py`), and how a quota is kept to (`quota.py`).
"""

import logging
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cs_features.aws import find_region
from cs_features.errors import AwsRefusal
from cs_features.extraction.quota import Quota
from cs_features.extraction.service_quotas import ask_model_quotas, name_quota_account, name_quota_model
from cs_features.hashing import content_hash
from cs_features.s3 import Bucket

logger = logging.getLogger(__name__)

COUNTS_FOR = timedelta(days=1)
UNKNOWN_FOR = timedelta(hours=1)  # until Service Quotas is asked again where it has not said anything
# What is less or more is no quota of calls or tokens a minute, and would stop a run or let it storm.
LEAST, MOST = 1.0, 1e10


class KeptQuota(BaseModel):
    """What was learned of one model's quota: whose it is, what it is, and until when nobody is asked again.

    Other versions may have written it: what they have added is passed over, and what is no such record is none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    data_bucket: str
    region: str
    model_id: str
    account: str = ""  # as Service Quotas names it; nobody is asked who we are
    requests_per_minute: float | None = Field(None, ge=LEAST, le=MOST)
    tokens_per_minute: float | None = Field(None, ge=LEAST, le=MOST)
    read_at: AwareDatetime | None = None  # when these figures were listed
    ask_again_at: AwareDatetime

    @property
    def quota(self) -> Quota:
        return Quota(self.requests_per_minute, self.tokens_per_minute)

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to ask again; so it is where a clock was wrong and this was written in the future."""
        return not now < self.ask_again_at <= now + COUNTS_FOR


# --- pure -------------------------------------------------------------------------------------


def parse_kept_quota(body: bytes | None, whose: Mapping[str, str]) -> KeptQuota | None:
    """The record in `body`, if it is one, and of this bucket, region and model."""
    try:
        kept = KeptQuota.model_validate_json(body or b"")
    except ValidationError:
        return None
    return kept if kept.model_dump(include=set(whose)) == whose else None


def note_listed_quotas(whose: Mapping[str, str], listed: Mapping[str, Mapping[str, Any]], now: datetime) -> KeptQuota:
    """What Service Quotas lists, without figures that cannot be meant; where nothing is left, it counts for an hour."""
    figures = {
        f"{kind}_per_minute": quota["Value"] for kind, quota in listed.items() if LEAST <= quota["Value"] <= MOST
    }
    told = {"account": name_quota_account(listed.values()), "read_at": now}
    ask_again_at = now + (COUNTS_FOR if figures else UNKNOWN_FOR)
    return KeptQuota.model_validate({**whose, **figures, **told, "ask_again_at": ask_again_at})


def note_no_answer(whose: Mapping[str, str], known: KeptQuota | None, now: datetime) -> KeptQuota:
    """Service Quotas is down or refuses: what it said before still counts, because no answer is not another one."""
    told = known.model_dump() if known else whose
    return KeptQuota.model_validate({**told, "ask_again_at": now + UNKNOWN_FOR})


# --- asked and kept ---------------------------------------------------------------------------


class AccountQuota:
    """The quota of a model in the account whose data bucket this is; `folder` is the host's."""

    def __init__(self, bucket: Bucket, model_id: str, folder: Path) -> None:
        region = find_region()
        self._bucket = bucket
        self._model_id = model_id
        self._whose = {"data_bucket": bucket.name, "region": region, "model_id": model_id}
        self._key = f"quota/{region}/{model_id}.json"
        # The local AWS has buckets of the same name in each of its lives.
        name = content_hash([bucket.client.meta.endpoint_url, self._whose])[:16]
        self._path = folder / "account-quota" / f"{name}.json"

    def find_quota(self) -> Quota:
        """What is kept, here or in the bucket; where that is too old, what Service Quotas says now."""
        now = datetime.now(timezone.utc)
        kept = self._read_from_host()
        if kept is None or kept.is_due(now):
            kept = self._read_from_bucket() or kept
            if kept is None or kept.is_due(now):
                kept = self._ask_again(kept, now)
                self._keep_in_bucket(kept)
            self._keep_on_host(kept)
        return kept.quota

    def estimate_quota(self) -> Quota:
        """For an estimate: what is kept, however old; where nothing is, Service Quotas is asked. Nothing is written.

        Raises:
            AwsRefusal: it does not tell.
        """
        kept = self._read_from_host() or self._read_from_bucket()
        return (kept or self._ask_service_quotas(datetime.now(timezone.utc))).quota

    def _ask_service_quotas(self, now: datetime) -> KeptQuota:
        return note_listed_quotas(self._whose, ask_model_quotas(self._model_id), now)

    def _ask_again(self, known: KeptQuota | None, now: datetime) -> KeptQuota:
        try:
            asked = self._ask_service_quotas(now)
            why = f"Service Quotas lists none that can be kept to for {name_quota_model(self._model_id)}"
        except AwsRefusal as refusal:
            known = self._read_from_bucket() or known  # another host may have been answered meanwhile
            asked, why = note_no_answer(self._whose, known, now), str(refusal)
        if asked.quota == Quota():
            logger.warning("No quota is stated, the account's is not known, and it is found by throttles: %s", why)
        return asked

    def _read_from_bucket(self) -> KeptQuota | None:
        with suppress(AwsRefusal):
            return parse_kept_quota(self._bucket.get(self._key), self._whose)
        return None

    def _keep_in_bucket(self, kept: KeptQuota) -> None:
        with suppress(AwsRefusal):
            self._bucket.put(self._key, kept.model_dump_json().encode())

    def _read_from_host(self) -> KeptQuota | None:
        with suppress(OSError):
            return parse_kept_quota(self._path.read_bytes(), self._whose)
        return None

    def _keep_on_host(self, kept: KeptQuota) -> None:
        draft = self._path.with_suffix(f".{uuid.uuid4().hex}")
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            draft.write_text(kept.model_dump_json())
            draft.replace(self._path)
