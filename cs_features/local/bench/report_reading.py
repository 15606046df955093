"""The daily page as its reader sees it: the text and the drawn line of each country's cells, and all its words; and how
figures are spelled and lines drawn there, once more for `report_oracle.py`.
"""

from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

Line = list[tuple[float, float]]


class PageReader(HTMLParser):
    """The table by country and column."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self._columns: list[str] = []
        self._rows: list[list[str]] = []
        self._lines: list[list[Line]] = []
        self._tag = ""
        self.feed(page)

    @property
    def cells(self) -> dict[str, dict[str, str]]:
        return {row[0]: dict(zip(self._columns, row[1:], strict=True)) for row in self._rows if row}

    @property
    def lines(self) -> dict[str, dict[str, Line]]:
        pairs = zip(self._rows, self._lines, strict=True)
        return {row[0]: dict(zip(self._columns, lines[1:], strict=True)) for row, lines in pairs if row}

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._tag, values = tag, dict(attrs)
        if tag == "tr":
            self._rows.append([])
            self._lines.append([])
        if tag == "td":
            self._rows[-1].append("")
            self._lines[-1].append([])
        if tag == "polyline":
            pairs = [pair.split(",") for pair in values["points"].split()]
            self._lines[-1][-1] += [(float(across), float(down)) for across, down in pairs]
        if tag == "circle":
            self._lines[-1][-1].append((float(values["cx"]), float(values["cy"])))

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._tag == "th" and data.strip():
            self._columns.append(data.strip())
        elif self._rows and self._rows[-1] and self._tag != "title":
            self._rows[-1][-1] = f"{self._rows[-1][-1]} {data.strip()}".strip()

    def handle_endtag(self, tag: str) -> None:
        if tag in ("title", "table"):
            self._tag = ""
        if tag == "table":
            self._rows.append([])
            self._lines.append([])


# --- how figures are spelled and lines are drawn ------------------------------------------------


def spell_count(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def spell_dollars(usd: float) -> str:
    digits = 0 if usd >= 100 else 2 if usd >= 1 or usd == 0 else 3 if usd >= 0.01 else 5
    return f"${usd:,.{digits}f}"


def spell_share(share: float) -> str:
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.{0 if share >= 0.1 or share == 0 else 1}f} %"


def place_line(values: Sequence[float | None]) -> Line:
    """Four weeks from left to right, zero at the bottom and the largest on top; the latest known once more."""
    top = max([value for value in values if value is not None], default=0) or 1
    step = 61 / (len(values) - 1)
    line = [(1.5 + step * place, 12.5 - 11 * value / top) for place, value in enumerate(values) if value is not None]
    return [*line, *line[-1:]]


def is_same_line(drawn: Line, wanted: Line) -> bool:
    """As far as a tenth of a pixel shows."""
    pairs = zip(drawn, wanted, strict=False)
    near = [abs(one[0] - other[0]) < 0.06 and abs(one[1] - other[1]) < 0.06 for one, other in pairs]
    return len(drawn) == len(wanted) and all(near)
