"""The image of deploy/Dockerfile is built where buildah is to be had, and its code location loads as its own user."""

import os
import re
import shutil
import subprocess

import pytest

from cs_features.local.bench.rows import ALLOCATORS
from cs_features_tests.support.lab import REPOSITORY

TOOLS = ("buildah", "debootstrap")
MEGABYTES = 1500  # a task waits for every one of them


def test_memory_is_measured_with_the_allocators_of_the_image() -> None:
    """A figure of `bench rows` that the deployed task does not reach is none."""
    told = (REPOSITORY / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert [f"{name}={value}" for name, value in ALLOCATORS.items() if f" {name}={value} " not in told] == []


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, TOOLS)), reason=f"needs root and {' and '.join(TOOLS)}"
)
def test_the_image_is_built_small_and_loads_the_code_location_as_its_own_user() -> None:
    """A lock file that lacks one package of the image is found here, and not when the first task starts."""
    built = subprocess.run(["deploy/build_locally.sh"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    together = re.search(r"together (\d+) MB", built.stdout)
    assert together, built.stdout[-2000:]
    assert int(together[1]) < MEGABYTES
    assert "Validation successful" in built.stdout + built.stderr
