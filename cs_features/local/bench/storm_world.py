"""What is true in the storm: which documents there are, in which version, and in which landing file each stands.

The truth is kept here and never read from the product. Not here: what happens to it (`storm.py`).
"""

import json
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from cs_features.partitions import Partition

LARGE_FILES = 4
FILES = LARGE_FILES + 1
SMALL_FILE = LARGE_FILES  # one document in so many stands there: fewer than the brake asks about
IN_SMALL_FILE = 32
COUNTRIES = ("BE", "ES", "FR", "NL", "PL")
DAYS_BACK = 3


@dataclass(frozen=True)
class Document:
    """One interaction as it is now; a correction has the next version."""

    number: int
    version: int = 1

    @property
    def interaction_id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"storm/{self.number}"))

    @property
    def second(self) -> str:
        """Of its time; tells the version, so that a record says which document it stands under."""
        return f"{self.version % 60:02}"

    def write_json(self, partition: Partition) -> bytes:
        minute = self.number % 1440
        content: dict[str, Any] = {
            "interaction_id": self.interaction_id,
            "occurred_at": f"{partition.date}T{minute // 60:02}:{minute % 60:02}:{self.second}Z",
            "country": partition.country,
            "channel": "chat",
            "language": "en",
            "customer_id": f"c-{self.number}",
            "text": f"My parcel {self.number} is late, version {self.version} of what I have to say about it.",
        }
        return json.dumps(content).encode()


def list_partitions(count: int) -> list[Partition]:
    """So many countries' days before today, the newest first."""
    today = datetime.now(timezone.utc).date()
    days = [today - timedelta(days=back) for back in range(1, DAYS_BACK + 1)]
    return [Partition(country, day) for day in days for country in COUNTRIES][:count]


@dataclass
class World:
    """The documents of each partition by the file that they stand in, and the bucket that they are written to."""

    s3: Any
    bucket: str
    rng: random.Random
    files: dict[Partition, list[dict[int, Document]]] = field(default_factory=dict)
    astray: set[tuple[Partition, int]] = field(default_factory=set)
    """Files that are not as they should be: taken away or damaged, though their documents are still true."""

    def create_documents(self, partitions: Iterable[Partition], count: int) -> None:
        number = 0
        for partition in partitions:
            self.files[partition] = [{} for _ in range(FILES)]
            for _ in range(count):
                self.files[partition][choose_file(number)][number] = Document(number)
                number += 1

    def list_documents(self, partition: Partition) -> list[Document]:
        return [document for file in self.files[partition] for document in file.values()]

    def find_current(self) -> dict[str, Document]:
        """Every document that there is, by its id, wherever it stands."""
        return {each.interaction_id: each for partition in self.files for each in self.list_documents(partition)}

    def land_file(self, partition: Partition, place: int) -> None:
        lines = [document.write_json(partition) for document in self.files[partition][place].values()]
        self._put(partition, place, b"\n".join(lines) + b"\n")
        self.astray.discard((partition, place))

    def _put(self, partition: Partition, place: int, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key_of_file(partition, place), Body=body)

    def land_everything(self) -> None:
        for partition in self.files:
            self.land_partition(partition)

    def land_partition(self, partition: Partition) -> None:
        for place in range(FILES):
            self.land_file(partition, place)

    def take_away_file(self, partition: Partition, place: int) -> None:
        """As a lifecycle rule does, or a wrong click: the documents are still true, only not to be seen."""
        self.s3.delete_object(Bucket=self.bucket, Key=key_of_file(partition, place))
        self.astray.add((partition, place))

    def damage_file(self, partition: Partition, place: int) -> None:
        """As an upload that broke off, a wrong key of encryption, or a log that was written in its place.

        What breaks off exactly between two lines is a shorter file to everybody, and what it lacks is deleted.
        """
        lines = [document.write_json(partition) for document in self.files[partition][place].values()]
        whole = b"\n".join(lines)
        within_a_line = len(b"\n".join(lines[: len(lines) // 2])) + 10
        damaged = (whole[:within_a_line], self.rng.randbytes(1000), b"\n" * 200_001, b"[]\n" * 10)
        self._put(partition, place, self.rng.choice(damaged))
        self.astray.add((partition, place))

    def restore_files(self) -> None:
        """Whatever was taken away or damaged is as it should be again."""
        for partition, place in sorted(self.astray, key=lambda each: (each[0].key, each[1])):
            self.land_file(partition, place)

    def take_away_everything(self) -> None:
        for partition in self.files:
            for place in range(FILES):
                self.take_away_file(partition, place)

    def correct_some(self, partition: Partition, share: float) -> int:
        """A new version of some documents, in the files that they stand in."""
        changed = 0
        for place, file in enumerate(self.files[partition]):
            chosen = [number for number in file if self.rng.random() < share]
            for number in chosen:
                file[number] = Document(number, file[number].version + 1)
            changed += len(chosen)
            if chosen:
                self.land_file(partition, place)
        return changed

    def move_one(self, source: Partition, target: Partition) -> None:
        """A correction says that an interaction belongs to another country's day."""
        place = self.rng.randrange(FILES)
        number, document = self.rng.choice(list(self.files[source][place].items()))
        del self.files[source][place][number]
        self.files[target][place][number] = Document(number, document.version + 1)
        self.land_file(target, place)  # the old line stays where it is: the later one counts

    def delete_some(self, partition: Partition, count: int) -> set[str]:
        """Documents that are really gone, fewer than the brake asks about."""
        place = self.rng.randrange(FILES)
        gone = [self.files[partition][place].pop(number) for number in list(self.files[partition][place])[:count]]
        self.land_file(partition, place)
        return {document.interaction_id for document in gone}


def choose_file(number: int) -> int:
    return SMALL_FILE if number % IN_SMALL_FILE == 0 else number % LARGE_FILES


def key_of_file(partition: Partition, place: int) -> str:
    return f"interactions/{partition.folder}/part-{place}.jsonl"
