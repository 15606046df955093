"""The folder that runs on one host share: the limiter's clock and the ledger's journals."""

import os
import tempfile
from pathlib import Path


def make_host_folder() -> Path:
    """Made for this user alone, because journals hold summaries of what customers said."""
    folder = Path(tempfile.gettempdir()) / f"cs-features-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
