"""The folder that runs on one host share: the limiter's clock, the ledger's journals, and the host's own name."""

import os
import tempfile
import uuid
from pathlib import Path


def make_host_folder() -> Path:
    """Made for this user alone, because journals hold summaries of what customers said."""
    folder = Path(tempfile.gettempdir()) / f"cs-features-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def name_this_host() -> str:
    """A name that all runs which share the folder know, and no others: containers may all be called alike."""
    path = make_host_folder() / "name"
    if not path.exists():
        draft = path.with_suffix(f".{uuid.uuid4().hex}")
        draft.write_text(uuid.uuid4().hex)
        try:
            os.link(draft, path)  # whoever comes first names it
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
