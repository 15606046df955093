"""How the tests are built, and how long a module is. What folders may know of each other is for import-linter."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
TEST_MODULES = sorted(TESTS.rglob("test_*.py"))
PRODUCT = TESTS.parent / "cs_features"
LONGEST = 300  # lines of a module of the product: what is longer holds two things
MODULES = [*TEST_MODULES, *sorted((TESTS / "support").glob("[!_]*.py"))]
_IMPORT_OF_TESTS = re.compile(r"\bcs_features_tests\.(?:\w+\.)*(?:test_\w+|conftest)\b")


def test_nobody_imports_a_test_module() -> None:
    """Helpers lived in whichever test had needed them first: whoever changed that test broke twelve others, and a test
    that was selected by itself brought the fixtures and profiles of its neighbours with it.

    Scripts that a test starts in another process are text, so it is the text that is searched."""
    imported = {str(path.relative_to(TESTS)): _IMPORT_OF_TESTS.findall(path.read_text()) for path in MODULES}
    assert {path: names for path, names in imported.items() if names} == {}


def test_every_module_opens_with_what_belongs_in_it() -> None:
    assert [str(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_the_folders_of_the_tests_are_those_of_the_product() -> None:
    """A test is looked for where the line that it guards stands."""
    folders = {path.parent.relative_to(TESTS) for path in TEST_MODULES}
    places = (PRODUCT, TESTS.parent)  # `deploy/` holds no Python of the product
    missing = [str(folder) for folder in folders if not any((place / folder).is_dir() for place in places)]
    assert missing == []


def test_no_module_of_the_product_is_too_long_to_be_read_at_once() -> None:
    """A line a helper was how the longest grew, to 301, with nobody who had decided it."""
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in PRODUCT.rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}
