"""The rounds of the storm: a cause, what the product makes of it, the end of the cause, and what is true beside it.

Not here: ticks and runs (`storm_runs.py`) and the documents (`storm_world.py`).
"""

import json
import os
import random
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3

from cs_features.local.bench.endpoint import patient_s3
from cs_features.local.bench.storm_clock import Clock, path_of_clock
from cs_features.local.bench.storm_model import VERSION, Mood, path_of_mood
from cs_features.local.bench.storm_runs import Deployment, Operations
from cs_features.local.bench.storm_world import LARGE_FILES, SMALL_FILE, World, list_partitions
from cs_features.partitions import Partition
from cs_features.publishing.feature_group import EVENT_TIME, IDENTIFIER, define_feature_definitions

GROUP, OTHER_GROUP = "cs-interaction-features", "cs-other-features"
OTHER_BUCKET = "cs-landing-other"
HEALING_NIGHTS = 4
FEW = 4  # deletions that the brake lets through
LISTING_WAIT = timedelta(minutes=61)  # by then the sensor has listed its whole window again, and two retries are due
NIGHT = timedelta(hours=5)  # longer than the last wait for a retry, and than a change is left to the sensor
SKEWS = [timedelta(minutes=minutes) for minutes in (-24 * 60, -60, -5, 0, 5, 60, 24 * 60)]


class Storm:
    """A store full of records, what is true of it, and the causes that would empty it."""

    def __init__(self, state: Path, partitions: int, documents: int) -> None:
        self.state = state
        self.rng = random.Random(5)
        self.partitions = list_partitions(partitions)
        s3 = patient_s3(os.environ)
        s3.create_bucket(Bucket=OTHER_BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        create_group(OTHER_GROUP)
        self.world = World(s3, "cs-landing", self.rng)
        self.world.create_documents(self.partitions, documents)
        self.clock = Clock(path_of_clock(state))
        self.operations = Operations()
        self.usual = Deployment()
        self.other_group = Deployment(feature_group=OTHER_GROUP)
        self.other_bucket = Deployment(landing_bucket=OTHER_BUCKET)
        self.causes: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()
        self.details: list[str] = []
        self.rounds = {
            "another group": self.use_other_group,
            "an emptied bucket": self.empty_bucket,
            "a swapped bucket": self.swap_bucket,
            "expired objects": self.expire_objects,
            "a model that refuses": lambda: self.correct_in_mood(Mood.REFUSES),
            "a model that babbles": lambda: self.correct_in_mood(Mood.BABBLES),
            "an outage": lambda: self.correct_in_mood(Mood.DOWN),
            "kills": self.kill_runs,
            "corrections": self.correct_documents,
            "deletions": self.delete_documents,
            "damaged files": self.damage_files,
            "wrong clocks": self.skew_clocks,
        }

    def publish_everything(self) -> None:
        self.world.land_everything()
        self.settle_down()
        missing = self.find_unserved()
        assert not missing, f"{len(missing)} documents were not served before the storm"

    def play_round(self) -> None:
        """Nothing may be withdrawn while the cause lasts, and all must be well some nights after it has ended."""
        cause = self.draw_cause()
        self.causes[cause] += 1
        served = set(self.read_online())
        self.rounds[cause]()
        self.compare_with_truth(cause, served)
        self.end_causes()
        self.settle_down()
        self.compare_with_truth(f"{cause}, ended", served)
        unserved, superfluous = self.find_unserved(), self.find_superfluous()
        self.counted["unserved"] += len(unserved)
        self.counted["superfluous"] += len(superfluous)
        self.counted["healed"] += not unserved and not superfluous
        if unserved or superfluous:
            self.details.append(f"{cause}: {len(unserved)} unserved, {len(superfluous)} superfluous")
        self.redrive_rejects()

    def draw_cause(self) -> str:
        """One of those that have come least often: all come before one comes again."""
        least = min(self.causes[cause] for cause in self.rounds)
        return self.rng.choice([cause for cause in self.rounds if self.causes[cause] == least])

    # --- causes -------------------------------------------------------------------------------

    def use_other_group(self) -> None:
        for partition in self.rng.sample(self.partitions, 2):
            self.operations.run_by_hand(self.other_group, "process_interactions", partition)
            self.compare_group(OTHER_GROUP, partition)

    def empty_bucket(self) -> None:
        self.world.take_away_everything()
        self.list_and_launch(self.usual)
        self.operations.run_by_hand(self.usual, "process_interactions", self.rng.choice(self.partitions))

    def swap_bucket(self) -> None:
        self.list_and_launch(self.other_bucket)
        self.operations.run_by_hand(self.other_bucket, "process_interactions", self.rng.choice(self.partitions))

    def expire_objects(self) -> None:
        for partition in self.rng.sample(self.partitions, 2):
            for place in self.rng.sample(range(LARGE_FILES), self.rng.randint(1, LARGE_FILES)):
                self.world.take_away_file(partition, place)
        self.list_and_launch(self.usual)

    def correct_in_mood(self, mood: Mood) -> None:
        path_of_mood(self.state).write_text(mood.value)
        self.world.correct_some(self.rng.choice(self.partitions), self.rng.choice((0.01, 0.2)))
        self.list_and_launch(self.usual)
        self.clock.wait(timedelta(minutes=self.rng.randint(1, 40)))
        self.tick_and_launch(self.usual)

    def kill_runs(self) -> None:
        """Each run dies somewhere on its way: the last one that was let through says how long that is."""
        partition = self.rng.choice(self.partitions)
        self.world.correct_some(partition, 0.01)
        self.world.move_one(*self.rng.sample(self.partitions, 2))
        self.clock.wait(LISTING_WAIT)
        for request in self.operations.tick(self.usual):
            self.operations.launch(self.usual, request, self.rng.randint(1, self.operations.calls_of_last_run))

    def correct_documents(self) -> None:
        self.world.correct_some(self.rng.choice(self.partitions), self.rng.choice((0.01, 0.3)))
        self.world.move_one(*self.rng.sample(self.partitions, 2))
        self.list_and_launch(self.usual)

    def delete_documents(self) -> None:
        self.world.delete_some(self.rng.choice(self.partitions), FEW)
        self.list_and_launch(self.usual)

    def damage_files(self) -> None:
        """One partition has one small damaged file, which the brake lets through; another has several large ones."""
        few, many = self.rng.sample(self.partitions, 2)
        self.world.damage_file(few, SMALL_FILE)
        for place in self.rng.sample(range(LARGE_FILES), self.rng.randint(1, LARGE_FILES)):
            self.world.damage_file(many, place)
        self.list_and_launch(self.usual)

    def skew_clocks(self) -> None:
        """The daemon's clock and that of each run's host are wrong, each in its own way, while documents change."""
        self.world.correct_some(self.rng.choice(self.partitions), self.rng.choice((0.01, 0.2)))
        for _ in range(2):
            self.world.move_one(*self.rng.sample(self.partitions, 2))
            self.clock.wait(LISTING_WAIT)
            with self.clock.be_wrong_by(self.rng.choice(SKEWS)):
                requests = self.operations.tick(self.usual)
            for request in requests:
                with self.clock.be_wrong_by(self.rng.choice(SKEWS)):
                    self.operations.launch(self.usual, request)

    def end_causes(self) -> None:
        """What was taken away or damaged by mistake comes back, the model is well, the settings are the usual ones."""
        path_of_mood(self.state).write_text(Mood.WELL.value)
        self.world.restore_files()

    # --- what the product does by itself --------------------------------------------------------

    def tick_and_launch(self, deployment: Deployment) -> int:
        requests = self.operations.tick(deployment)
        for request in requests:
            self.operations.launch(deployment, request)
        return len(requests)

    def list_and_launch(self, deployment: Deployment) -> int:
        """What the sensor makes of a change, once it has looked at all days."""
        self.clock.wait(LISTING_WAIT)
        return self.tick_and_launch(deployment)

    def settle_down(self) -> None:
        """Ticks until nothing is asked for, then the nightly inventory, until it finds nothing either."""
        for _ in range(HEALING_NIGHTS):
            self.clock.wait(LISTING_WAIT)
            self.tick_until_quiet()
            self.clock.wait(NIGHT)
            self.tick_until_quiet()
            self.operations.run_by_hand(self.usual, "take_inventory")
            if not self.tick_and_launch(self.usual):
                return

    def tick_until_quiet(self) -> None:
        while self.tick_and_launch(self.usual):
            self.clock.wait(LISTING_WAIT)

    def redrive_rejects(self) -> None:
        """What a person does with answers that were paid for and are invalid; nothing is counted for it."""
        for partition in self.partitions:
            if self._rejected_ids(partition):
                self.operations.run_by_hand(self.usual, "redrive_rejected", partition)

    # --- the comparison -------------------------------------------------------------------------

    def read_online(self, group: str = GROUP) -> dict[str, dict[str, str]]:
        """Records that the group serves, by id, from the local store's own database."""
        with closing(sqlite3.connect(f"file:{self.state / 'feature_store.sqlite'}?mode=ro", uri=True)) as database:
            query = "SELECT identifier, record FROM online WHERE feature_group = ? AND record IS NOT NULL"
            return {key: json.loads(record) for key, record in database.execute(query, (group,))}

    def compare_with_truth(self, cause: str, served: set[str]) -> None:
        online, current, rejected = self.read_online(), self.world.find_current(), self.find_rejected()
        withdrawn = [key for key in served & current.keys() if key not in online and key not in rejected]
        mixed = [key for key, record in online.items() if versions_differ(record)]
        self.counted["withdrawn"] += len(withdrawn)
        self.counted["mixed"] += len(mixed)
        if withdrawn or mixed:
            self.details.append(f"{cause}: {len(withdrawn)} withdrawn, {len(mixed)} mixed")

    def compare_group(self, group: str, partition: Partition) -> None:
        online = self.read_online(group)
        expected = {each.interaction_id for each in self.world.list_documents(partition)}
        missing = expected - online.keys() - self.find_rejected()
        self.counted["unserved"] += len(missing)
        if missing:
            self.details.append(f"{group}: {len(missing)} of {partition} not written")

    def find_unserved(self) -> list[str]:
        """Ids of documents whose present version is not served, those apart that wait for a redrive."""
        online, rejected = self.read_online(), self.find_rejected()
        return [
            key
            for key, document in self.world.find_current().items()
            if key not in rejected and (key not in online or read_second(online[key]) != document.second)
        ]

    def find_superfluous(self) -> list[str]:
        current = self.world.find_current()
        return [key for key in self.read_online() if key not in current]

    def find_rejected(self) -> set[str]:
        return {key for partition in self.partitions for key in self._rejected_ids(partition)}

    def _rejected_ids(self, partition: Partition) -> set[str]:
        rejected = self.usual.services.data.tables().read("rejected_records", partition)
        if rejected is None:
            return set()
        return set(rejected.filter(stage="extraction")["interaction_id"].drop_nulls())

    def count_runs(self) -> str:
        counts = f"{self.operations.runs} runs, {self.operations.failed} failed; {dict(self.counted)}"
        return "; ".join([counts, *self.details[-3:]])

    def report(self) -> dict[str, Any]:
        counts = {name: self.counted[name] for name in ("withdrawn", "mixed", "unserved", "superfluous", "healed")}
        runs = {"runs": self.operations.runs, "failed": self.operations.failed}
        return {**counts, **runs, "causes": dict(self.causes), "details": self.details[:10]}


def versions_differ(record: dict[str, str]) -> bool:
    """Whether the features come from another version of the text than the document that they stand under."""
    of_text = VERSION.search(record["summary"])
    return of_text is None or int(of_text[1]) % 60 != int(read_second(record))


def read_second(record: dict[str, str]) -> str:
    """Of the document that the record stands under: it tells the version."""
    return record[EVENT_TIME][len("2026-11-24T08:30:") :][:2]


def create_group(name: str) -> None:
    boto3.client("sagemaker").create_feature_group(
        FeatureGroupName=name,
        RecordIdentifierFeatureName=IDENTIFIER,
        EventTimeFeatureName=EVENT_TIME,
        FeatureDefinitions=define_feature_definitions(),
        OnlineStoreConfig={"EnableOnlineStore": True},
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": "s3://cs-data/feature-store-other"}},
        RoleArn="arn:aws:iam::123456789012:role/storm",
    )
