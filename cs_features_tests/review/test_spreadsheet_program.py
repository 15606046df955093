"""Five hundred texts through LibreOffice, with what colleagues do to a sheet. Needs `soffice` and its `python3-uno`."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cs_features.review.drawing import DrawRequest, draw_review_sheet
from cs_features.review.returned import open_returned_workbook, read_labels
from cs_features.review.words import ASKED
from cs_features.review.workbook import write_review_workbook
from cs_features_tests.support.review import NOW, answer_truthfully, fill_month, make_model, make_tables

PYTHON = "/usr/bin/python3"  # LibreOffice's bindings are the system's

# Run by the system's Python: fills, sorts by the text, pastes, deletes a column, and saves as Excel.
SCRIPT = r"""
import json, sys, time, uno
from com.sun.star.beans import PropertyValue
from com.sun.star.lang import Locale
from com.sun.star.table import TableSortField

def prop(name, value):
    return PropertyValue(name, 0, value, 0)

order = json.load(open(sys.argv[1]))
resolver = uno.getComponentContext().ServiceManager.createInstance("com.sun.star.bridge.UnoUrlResolver")
for _ in range(240):
    try:
        context = resolver.resolve("uno:pipe,name=%s;urp;StarOffice.ComponentContext" % order["pipe"])
        break
    except Exception:
        time.sleep(0.5)
desktop = context.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", context)
book = desktop.loadComponentFromURL("file://" + order["source"], "_blank", 0, (prop("Hidden", True),))
page = book.Sheets.getByIndex(1)
polish = book.NumberFormats.queryKey("0,0", Locale("pl", "PL", ""), False)
if polish < 0:
    polish = book.NumberFormats.addNew("0,0", Locale("pl", "PL", ""))
for row in range(1, order["rows"] + 1):
    for column, value in order["answers"][page.getCellByPosition(0, row).String].items():
        cell = page.getCellByPosition(ord(column) - 65, row)
        if isinstance(value, str):
            cell.String = value
        else:
            cell.NumberFormat = polish
            cell.Value = value
area = page.getCellRangeByPosition(0, 0, 8, order["rows"])
field = TableSortField()
field.Field, field.IsAscending = 1, False
fields = uno.Any("[]com.sun.star.table.TableSortField", (field,))
uno.invoke(area, "sort", ((prop("SortFields", fields), prop("ContainsHeader", True)),))
pasted = {}
for row, (column, value) in enumerate(order["pasted"], start=4):
    token = page.getCellByPosition(0, row).String
    cell = page.getCellByPosition(ord(column) - 65, row)
    if isinstance(value, str):
        cell.String = value
    else:
        cell.Value = value
    pasted[token] = [row + 1, column]
page.Columns.removeByIndex(ord(order["deleted"]) - 65, 1)
book.storeToURL("file://" + order["target"], (prop("FilterName", "Calc MS Excel 2007 XML"),))
book.close(True)
print(json.dumps(pasted))
try:
    desktop.terminate()
except Exception:
    pass
"""


def has_bindings() -> bool:
    if not shutil.which("soffice") or not Path(PYTHON).exists():
        return False
    return subprocess.run([PYTHON, "-c", "import uno"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def office(tmp_path: Path) -> Iterator[str]:
    """The name of the pipe on which a LibreOffice of its own listens, in Polish."""
    if not has_bindings():
        pytest.skip("needs LibreOffice Calc with python3-uno")
    pipe = f"review{tmp_path.name.replace('-', '')}"
    command = ["soffice", "--headless", "--norestore", f"-env:UserInstallation=file://{tmp_path}/profile"]
    process = subprocess.Popen(
        [*command, f"--accept=pipe,name={pipe};urp;"], env={"LC_ALL": "pl_PL.UTF-8", "PATH": "/usr/bin:/bin"}
    )
    yield pipe
    process.terminate()
    process.wait(30)


def make_answers(answers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every third score typed as text with a comma."""
    for number, cells in enumerate(answers.values()):
        if number % 3 == 0:
            cells["G"] = str(cells["G"]).replace(".", ",")
    return answers


@pytest.mark.slow
def test_no_label_of_five_hundred_is_another_texts_and_every_bad_cell_is_named(office: str, tmp_path: Path) -> None:
    tables = make_tables()
    fill_month(tables, rows=700, text=lambda number: f"{'=+-@'[number % 4]}{number * 7919 % 700} pakket\n\tniet  hier")
    drawn = draw_review_sheet(DrawRequest("NL", 500), make_model(), tables, NOW)
    source, target, order = tmp_path / "out.xlsx", tmp_path / "back.xlsx", tmp_path / "order.json"
    source.write_bytes(write_review_workbook(drawn))
    answers = make_answers(answer_truthfully(drawn))
    pasted = [("C", "woedend"), ("G", 0.55), ("H", "0,5.5"), ("F", 3.0), ("E", "=1+1"), ("C", "#REF!")]
    order.write_text(
        json.dumps(
            {
                "pipe": office,
                "source": str(source),
                "target": str(target),
                "rows": len(drawn.entries),
                "answers": answers,
                "pasted": pasted,
                "deleted": "D",
            }
        )
    )
    run = subprocess.run([PYTHON, "-c", SCRIPT, str(order)], capture_output=True, text=True, timeout=400, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    planted = json.loads(run.stdout.strip().splitlines()[-1])
    reading = read_labels(open_returned_workbook("back.xlsx", target.read_bytes()), drawn.sheet, drawn.drawn)
    after = {"C": "C", "E": "D", "F": "E", "G": "F", "H": "G"}
    expected_bad = {(row, after[column]) for row, column in planted.values()}
    assert {(cell.row, cell.column) for cell in reading.bad} == {*expected_bad, (1, "'Onderwerp'")}
    names = dict(zip("CDEFGH", ASKED, strict=True))
    spoiled = {(token, names[column]) for token, (_, column) in planted.items()}
    expected = {
        (row["token"], name): row[name]
        for row in drawn.drawn.iter_rows(named=True)
        for name in ASKED
        if name != "primary_topic" and (row["token"], name) not in spoiled
    }
    found = {(token, name): value for token, cells in reading.labels.items() for name, value in cells.items()}
    assert found == expected
