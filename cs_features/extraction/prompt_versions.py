"""Prompts in the data bucket: every version that was pushed, which is in use, and who changed that, when and why.

A version is a folder of prompts as one archive under the hash of its content, so that nobody sees half of one and
nobody changes one unseen. What is in use is one small object, and each change of it another that stays. Not here:
whether prompts are valid (`prompts.py`), and who may change them (the roles in `deploy/template.yaml`).
"""

import io
import json
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

from cs_features.errors import PromptError, RequestError
from cs_features.extraction.country_files import read_text
from cs_features.hashing import content_hash
from cs_features.s3 import Bucket

PREFIX = "prompts/"
CURRENT = f"{PREFIX}current.json"
LOOK_AGAIN_SECONDS = 60  # a sensor asks at each tick; a change is there with the minute
_VERSION = re.compile(r"[0-9a-f]{12}")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file: the same folder is the same archive


@dataclass(frozen=True)
class Change:
    """One version put into use: by whom, when (UTC, ISO 8601), why, and in place of which."""

    version: str
    changed_by: str
    changed_at: str
    why: str
    before: str | None


class PromptVersions:
    """What is under `prompts/` in the data bucket, and the folder of this host that versions are fetched to."""

    def __init__(self, bucket: Bucket, fetched: Path) -> None:
        self._bucket, self._fetched = bucket, fetched

    def push_prompt_folder(self, folder: Path) -> str:
        """Keep a folder of prompts; returns its version. The same content is the same version."""
        version = hash_prompt_folder(folder)
        self._bucket.put(_archive_key(version), pack_prompt_folder(folder))
        return version

    def find_current(self) -> str | None:
        """The version in use; None while those of the image are.

        Raises:
            PromptError: what is written there names none. The image's prompts in its place would be others, in silence.
        """
        body = self._bucket.get(CURRENT)
        if body is None:
            return None
        version = _parse_record(body).get("version")
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise PromptError(
                f"{self._bucket.uri(CURRENT)} names no version of the prompts: put one into use with "
                "python -m cs_features.cli.prompts use VERSION"
            )
        return version

    def use_version(self, version: str, changed_by: str, why: str, now: datetime) -> Change:
        """Put a version into use from now on; an older one is put back in the same way.

        Raises:
            RequestError: it was never pushed.
        """
        self.read_prompt_archive(version)
        at = now.isoformat(timespec="seconds")
        change = Change(version, changed_by, at, why, self._find_version_before())
        body = json.dumps(asdict(change), ensure_ascii=False).encode()
        # The record first: a change that nobody knows the author of must not be.
        self._bucket.put(f"{PREFIX}history/{now:%Y%m%dT%H%M%S%f}-{version}.json", body)
        self._bucket.put(CURRENT, body)
        return change

    def _find_version_before(self) -> str | None:
        try:
            return self.find_current()
        except PromptError:
            return None  # whatever stood there is about to be replaced

    def list_changes(self) -> list[Change]:
        """Oldest first."""
        keys = [item.key for item in self._bucket.list_bucket_objects(f"{PREFIX}history/").objects]
        bodies = [body for key in keys if (body := self._bucket.get(key)) is not None]
        return [_read_version_change(body) for body in bodies]

    def read_prompt_archive(self, version: str) -> bytes:
        """Raises RequestError when there is no such version."""
        body = self._bucket.get(_archive_key(version)) if _VERSION.fullmatch(version) else None
        if body is None:
            raise RequestError(
                f"{version} is neither a folder nor a version of the prompts in {self._bucket.uri(PREFIX)}: push it "
                "with python -m cs_features.cli.prompts push DIR"
            )
        return body

    def find_candidate_folder(self, named: str) -> Path:
        """A folder of prompts as it was named: a folder of this machine, or a version that was pushed.

        Raises:
            RequestError: it is neither.
        """
        return Path(named) if named and Path(named).is_dir() else self.fetch_prompt_version(named)

    def fetch_prompt_version(self, version: str) -> Path:
        """The version as a folder; fetched once, and there as a whole or not at all.

        Raises:
            RequestError: there is none, or its content is not what its name says.
        """
        folder = self._fetched / version
        if _VERSION.fullmatch(version) and folder.exists():
            return folder
        self._fetched.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=self._fetched))
        try:
            unpack_prompt_archive(self.read_prompt_archive(version), draft)
            if hash_prompt_folder(draft) != version:
                raise RequestError(f"Version {version} of the prompts was changed after it was pushed: push it again")
            draft.rename(folder)
        except OSError:
            if not folder.exists():  # else another run of this host was faster
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return folder


class PromptsInUse:
    """The folder of the version in use, looked up again after a minute; the image's own while none is set."""

    def __init__(self, make_versions: Callable[[], PromptVersions], fallback: Path) -> None:
        self._make_versions, self._fallback = make_versions, fallback  # and no client yet: see `io_manager.py`
        self._found: tuple[float, Path] | None = None

    def find_folder(self) -> Path:
        if self._found is None or monotonic() - self._found[0] > LOOK_AGAIN_SECONDS:
            versions = self._make_versions()
            version = versions.find_current()
            folder = versions.fetch_prompt_version(version) if version else self._fallback
            self._found = monotonic(), folder
        return self._found[1]


def list_files(folder: Path) -> list[Path]:
    """The files of a folder of prompts, in the order of their names; hidden ones are no part of it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def hash_prompt_folder(folder: Path) -> str:
    files = {str(path.relative_to(folder)): read_text(path) for path in list_files(folder)}
    return content_hash(files)[:12]


def pack_prompt_folder(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in list_files(folder):
            entry = zipfile.ZipInfo(str(path.relative_to(folder)), _EPOCH)
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def unpack_prompt_archive(body: bytes, folder: Path) -> None:
    """Raises RequestError for an archive that cannot be taken apart."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            archive.extractall(folder)  # zipfile itself keeps names inside the folder
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise RequestError("The archive of this version of the prompts is damaged: push its folder again") from None


def _read_version_change(body: bytes) -> Change:
    """Of whatever version wrote it."""
    content = _parse_record(body)
    return Change(**{field.name: content.get(field.name) for field in fields(Change)})


def _parse_record(body: bytes) -> Any:
    """What a small object says; nothing, where it is none of ours."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _archive_key(version: str) -> str:
    return f"{PREFIX}versions/{version}.zip"
