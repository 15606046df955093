"""README and docs say what is true: their commands exist, their files are there, their tables are the code's."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from cs_features.cli.write_docs import list_doc_pages, replace_generated_tables
from cs_features.local.bench.commands import list_run_commands
from cs_features_tests.support.lab import REPOSITORY

PAGES = list_doc_pages()
PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code_of(page: Path) -> str:
    """What stands in fences and between single backticks."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", text)])


@PAGE
def test_every_make_target_of_the_docs_exists(page: Path) -> None:
    """A README that names a command which is gone costs its reader an hour."""
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)\b", code_of(page)))
    assert named <= targets


@PAGE
def test_every_module_and_file_that_the_docs_name_exists(page: Path) -> None:
    """After a move, half of the docs spoke of files that were somewhere else."""
    code = code_of(page)
    for module in re.findall(r"python -m\s+(cs_features[\w.]*\w)", code):
        assert find_spec(module), module
    for path in re.findall(r"\b(?:cs_features|cs_features_tests|prompts|docs)/[\w./-]+\.\w+", code):
        assert (REPOSITORY / path).exists(), path


@PAGE
def test_every_link_of_the_docs_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@PAGE
def test_the_tables_of_the_docs_are_those_of_the_code(page: Path) -> None:
    """`make docs` writes them; a setting that the table does not know is a setting that nobody finds."""
    text = page.read_text(encoding="utf-8")
    assert replace_generated_tables(text) == text


@pytest.mark.heavy
def test_make_says_what_its_targets_would_do() -> None:
    """A tab that became spaces breaks every command at once."""
    for target in ("demo", "dev", "evaluate", "calibrate", "preview", "bench", "docs", "format", "clean"):
        subprocess.run(["make", "-n", target], cwd=REPOSITORY, check=True, capture_output=True)


@PAGE
def test_every_command_of_the_docs_is_run_by_the_benchmark_or_by_ci(page: Path) -> None:
    """A command that exists may still fail for whoever types it: `make bench` types all of them in a fresh clone."""
    code = code_of(page)
    targets = {f"make {target}" for target in re.findall(r"\bmake ([a-z][a-z-]*)\b", code)}
    modules = set(re.findall(r"python -m\s+(cs_features[\w.]*\w)", code))
    assert targets | modules <= set(list_run_commands())
