"""The ledger: what was asked and answered, so that nothing is ever paid for twice.

One folder a partition, `s3://{data bucket}/ledger/country={CC}/date={YYYY-MM-DD}/`, of append-only
objects, a line an asking (`ledger_lines.py`), keyed by the hash of the request. A reply is written to a local
journal (`journal.py`) the moment it is there, judged afterwards, and its outcome shipped to S3 about once a second: a
killed process loses the calls in flight and nothing else, a lost host a second more. It is a ledger and no cache: no
entry expires, and no operational setting is part of its key. No call is made here.
"""

import itertools
import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from cs_features.erasure.tombstones import NO_TOMBSTONES, Tombstones
from cs_features.errors import AwsRefusal
from cs_features.extraction.attribution import Owners, strip_all_lines
from cs_features.extraction.bedrock import Reply
from cs_features.extraction.brakes import are_own_faults
from cs_features.extraction.engine import Outcome, Receipts
from cs_features.extraction.host import make_host_folder
from cs_features.extraction.journal import (
    Journal,
    lock_dead_journals,
    merge_unjudged_replies,
    parse_unjudged_replies,
)
from cs_features.extraction.ledger_lines import PASSING, Askings, find_copied_objects, format_ledger_line
from cs_features.s3 import Bucket
from cs_features.schemas import Reason

logger = logging.getLogger(__name__)

SHIP_SECONDS = 1.0
LEARN_EVERY = 5  # shipments: two runs of one partition at once are rare, and a listing costs as much as a shipment
COMPACT_ABOVE = 50  # objects


class Ledger:
    """One partition's ledger, open for a run. Several runs may hold it at once, on any host.

    `known` are the outcomes that were there when it was opened, and those that came since; `record_call_outcome` adds
    one and is safe to call from many threads. `unjudged` are the lines of replies, by request, that a dead run on
    this host has paid for and not judged. `doubtful` are failures of which only the bill is kept yet. Leaving the
    context ships what is left, also when the run fails.
    """

    def __init__(
        self,
        bucket: Bucket,
        folder: str,
        journals: Path | None = None,
        owners: Owners | None = None,
        read_tombstones: Callable[[], Tombstones] = lambda: NO_TOMBSTONES,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"ledger/{folder}/"
        self._journals = (journals or make_host_folder() / "journals") / bucket.name / folder
        self._lock = threading.Lock()
        self._askings = Askings()
        self._owners = owners or {}
        self._read_tombstones = read_tombstones
        self._erased = NO_TOMBSTONES
        self.unjudged: dict[str, list[bytes]] = {}
        self._pending: list[bytes] = []
        self._refusals: list[Outcome] = []
        self.doubtful: list[Outcome] = []
        self._replies = 0
        self._closing = threading.Event()
        self._shipping_error: BaseException | None = None
        self._seen: set[str] = set()  # keys of objects
        # The lines of those that are not deleted yet: the ones of `_askings` again, and no copies of them.
        self._objects: dict[str, Sequence[bytes]] = {}

    @property
    def known(self) -> dict[str, Outcome]:
        return self._askings.known

    def __enter__(self) -> Self:
        self._journals.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._erased = self._read_tombstones()
        recovered = self._recover_dead_journals()
        try:
            self._askings = Askings([*self._read_all_objects(), *recovered])
            if len(self._objects) > COMPACT_ABOVE:
                self.compact_ledger_objects()  # what many killed runs have left; each restart would read it all
        except BaseException:
            self._journal.close()
            raise
        self._thread = threading.Thread(target=self._exchange_until_closed, name="ledger", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and are_own_faults(len(self._refusals), self._replies):
            for refusal in self._refusals:
                self._write_to_journal(refusal)
        self._closing.set()
        self._thread.join()
        try:
            self._ship_pending()
        except BaseException:
            self._journal.close()  # the next run recovers its lines
            raise
        self._leave_own_journal(stopped=kind is not None)
        if kind is None:
            self._check_shipping_thread()

    def read_outcomes(self) -> dict[str, Outcome]:
        """What S3 holds now, for readers that are no run and record nothing."""
        return Askings(self._read_all_objects()).known

    def record_call_outcome(self, outcome: Outcome, *, is_doubtful: bool = False) -> Outcome:
        """Keep an outcome; returns it with all that was ever paid for its request.

        When this returns, a kill of the process no longer loses it. Of what the service has failed only the bill is
        kept. Refusals that cost nothing are kept when the run ends well and other interactions were answered: until
        then they may be the account's fault, and would be believed by every later run. So may failures that were paid
        for: of one that is doubtful the bill is kept, and the verdict by `keep_doubtful_failures`.
        """
        earlier = self._askings.totals.get(outcome.request_hash)
        if outcome.usage.prompt_tokens:
            self._replies += 1
        if outcome.error is Reason.REQUEST_REFUSED and not outcome.cost_usd:
            self._refusals.append(outcome)
        elif is_doubtful:
            self._write_to_journal(
                replace(outcome, error=Reason.SERVICE_FAILED, detail="whose fault, is not known yet")
            )
            with self._lock:
                self.doubtful.append(outcome.without_bill())
        elif outcome.error not in PASSING or outcome.cost_usd:
            self._write_to_journal(outcome)
        self._check_shipping_thread()
        return outcome if earlier is None else outcome.add_bill_of(earlier)

    def keep_doubtful_failures(self) -> None:
        """They have proved to be the interactions' own."""
        if not self.doubtful:
            return  # asked after each answer: without the lock
        with self._lock:
            proved, self.doubtful = self.doubtful, []
        for failure in proved:
            self._write_to_journal(failure)

    def give_shipping_receipts(self, request_hash: str) -> Receipts:
        """What was paid for a request and not judged, and where its next replies are kept."""

        def keep_reply(reply: Reply) -> None:
            self._journal.append_unjudged_reply(request_hash, reply, self._owners.get(request_hash, ()))

        return Receipts(parse_unjudged_replies(self.unjudged.get(request_hash, ())), keep_reply)

    def _write_to_journal(self, outcome: Outcome) -> None:
        written = format_ledger_line(outcome, self._owners.get(outcome.request_hash, ()))
        self._journal.append_journal_line(written)
        line = written.rstrip(b"\n")
        with self._lock:
            self._pending.append(line)
            self._askings.add_outcome_asking(line, outcome)
            self.unjudged.pop(outcome.request_hash, None)

    def compact_ledger_objects(self) -> None:
        """Leave one object in place of those that this run has read and written; what it has not read is left alone.

        Nothing is asked for again: objects never change, so that what was read is what is there. Objects are deleted
        only while another one that holds all their lines is there. Where S3 refuses to delete, nothing more is
        written: each later run would add a copy of everything. Who was erased since the ledger was opened may come
        back with its lines; the next opening takes them out, and an erasure says which runs went on meanwhile.
        """
        with self._lock:
            held, pending = dict(self._objects), self._pending
            lines = strip_all_lines(self._askings, self._erased)
            self._pending = []
        try:
            self._replace_objects(held, lines)
        except BaseException as error:
            with self._lock:
                self._pending = pending + self._pending
            if not isinstance(error, AwsRefusal):
                raise
            logger.warning("Ledger not compacted, nothing is lost: %s", error)

    def _replace_objects(self, held: Mapping[str, Sequence[bytes]], lines: Sequence[bytes]) -> None:
        copied = find_copied_objects(held)
        self._delete_objects(copied)
        left = {key: there for key, there in held.items() if key not in copied}
        if len(left) > 1 or set(lines) != set(itertools.chain.from_iterable(left.values())):
            if lines:
                self._put_ledger_lines("compact", lines)
            self._delete_objects(left)

    def _delete_objects(self, keys: Iterable[str]) -> None:
        self._bucket.delete(keys)
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)

    def _exchange_until_closed(self) -> None:
        """Ship what was recorded and learn what other runs of the partition have shipped."""
        try:
            for rounds in itertools.count(1):
                if self._closing.wait(SHIP_SECONDS):
                    return
                try:
                    self._ship_pending()
                    if rounds % LEARN_EVERY == 0:
                        self._learn_ledger_lines(self._read_new())
                except AwsRefusal as error:
                    # The journal has the lines; the next round, or the end of the run, ships them.
                    logger.warning("Ledger not shipped, trying again: %s", error)
        except BaseException as error:
            self._shipping_error = error  # told by the next `record_call_outcome`, in a thread that the run listens to

    def _check_shipping_thread(self) -> None:
        if self._shipping_error is not None:
            raise RuntimeError("the thread that ships the ledger has died") from self._shipping_error

    def _learn_ledger_lines(self, lines: Iterable[bytes]) -> None:
        with self._lock:
            for line in lines:
                self._askings.add_ledger_line(line)

    def _ship_pending(self) -> None:
        with self._lock:
            lines, self._pending = self._pending, []
        if not lines:
            return
        try:
            self._put_ledger_lines("part", lines)
        except BaseException:
            with self._lock:
                self._pending = lines + self._pending
            raise

    def _recover_dead_journals(self) -> list[bytes]:
        """Take over what dead runs on this host have left: their outcomes are shipped, their unjudged replies become
        the beginning of this run's journal. Only then are theirs removed."""
        dead = list(lock_dead_journals(self._journals))
        outcomes = strip_all_lines((line for journal in dead for line in journal.content.outcomes), self._erased)
        if outcomes:
            self._put_ledger_lines("part", outcomes)
        unjudged = merge_unjudged_replies(journal.content for journal in dead)
        self.unjudged = {key: kept for key, lines in unjudged.items() if (kept := strip_all_lines(lines, self._erased))}
        self._journal = Journal(self._journals, itertools.chain.from_iterable(self.unjudged.values()))
        for journal in dead:
            journal.remove()
        return outcomes

    def _leave_own_journal(self, *, stopped: bool) -> None:
        """All outcomes are in S3: the journal goes. Replies that nobody came to judge stay for the next run, alone."""
        if stopped or self.unjudged:
            unjudged = self._journal.read_unjudged_replies()
            if unjudged:
                Journal(self._journals, itertools.chain.from_iterable(unjudged.values())).close()
        self._journal.remove()

    def _put_ledger_lines(self, kind: str, lines: Sequence[bytes]) -> None:
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
        key = f"{self._prefix}{kind}-{now}-{uuid.uuid4().hex[:8]}.jsonl"
        self._bucket.put(key, b"\n".join([*lines, b""]))
        self._remember_object(key, lines)

    def _remember_object(self, key: str, lines: Sequence[bytes]) -> None:
        with self._lock:
            self._seen.add(key)
            self._objects[key] = lines

    def _list_keys(self) -> list[str]:
        return [item.key for item in self._bucket.list_bucket_objects(self._prefix).objects]

    def _read_all_objects(self) -> list[bytes]:
        """Every line. A compaction elsewhere may delete what was listed: then its successor is listed."""
        while True:
            bodies = {key: self._bucket.get(key) for key in self._list_keys()}
            if None not in bodies.values():
                return strip_all_lines(self._remember_bodies(bodies), self._erased)

    def _read_new(self) -> list[bytes]:
        keys = [key for key in self._list_keys() if key not in self._seen]
        return self._remember_bodies({key: self._bucket.get(key) for key in keys})

    def _remember_bodies(self, bodies: Mapping[str, bytes | None]) -> list[bytes]:
        """Their lines; of what was deleted before it was read, none."""
        lines: list[bytes] = []
        for key, body in bodies.items():
            if body is not None:
                there = body.splitlines()
                self._remember_object(key, there)
                lines += there
        return lines
