"""Sheets for colleagues who read a country's language: `draw` writes one as .xlsx, `read` takes it back.

What was drawn and what was labelled stands in the data bucket; nothing of it is printed but counts, and where a cell
is wrong. `human_quality` and `country_report` are made of it in Dagster.
"""

import argparse
import sys
from collections import Counter
from datetime import date, datetime, timezone
from pathlib import Path

from cs_features.cli.failures import report_command_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError, RequestError
from cs_features.planning.requests import parse_day, require_known_countries
from cs_features.review.drawing import DrawRequest, draw_review_sheet
from cs_features.review.receiving import find_drawn_sheet
from cs_features.review.records import Records
from cs_features.review.returned import merge_returned_labels, open_returned_workbook, read_labels
from cs_features.review.workbook import write_review_workbook
from cs_features.services import Services, build_services_from

BAD_CELLS = 3  # the exit code


def main(arguments: list[str] | None = None) -> int:
    """0; 3 when cells must be mended; 2 when a file, the request or a setting is wrong, 1 when AWS refuses."""
    options = parse_options(arguments)
    try:
        services = build_services_from(settings())
        if options.act == "draw":
            return write_review_sheet(services, options)
        return read_review_sheet(services, options)
    except CsFeaturesError as error:
        return report_command_failure(error)


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cs_features.cli.review",
        description=(__doc__ or "").splitlines()[0],
        epilog=f"Exit code: 0; 1 or 2 when it cannot be done; {BAD_CELLS} when cells must be mended.",
    )
    acts = parser.add_subparsers(dest="act", required=True)
    draw = acts.add_parser("draw", help="draw a sample and write its sheet")
    draw.add_argument("--country", required=True, metavar="CC")
    draw.add_argument("--size", type=int, default=50, metavar="N", help="default: 50, half an hour to an hour")
    draw.add_argument("--month", metavar="YYYY-MM", help="default: the latest that has features")
    draw.add_argument("--reader", type=int, default=1, metavar="N", help="the colleague's number; default: 1")
    draw.add_argument("--language", metavar="CODE", help="what the sheet is written in; default: the country's first")
    draw.add_argument("--texts", nargs="+", default=[], metavar="CODE", help="the languages that the colleague reads")
    draw.add_argument("--out", type=Path, metavar="FILE", help="default: review-CC-YYYY-MM-READER-SHEET.xlsx")
    read = acts.add_parser("read", help="take a filled sheet back")
    read.add_argument("file", type=Path)
    read.add_argument("--country", metavar="CC", help="refuse a file of another country")
    read.add_argument("--late", action="store_true", help="take a sheet though its colleague has a newer one")
    return parser.parse_args(arguments)


def write_review_sheet(services: Services, options: argparse.Namespace) -> int:
    require_known_countries([options.country], services.model.prompts().countries)
    month = parse_review_month(options.month) if options.month else None
    if options.out and (options.out.is_dir() or not options.out.parent.is_dir()):
        # Said before anything is drawn: what was drawn once is not drawn again.
        raise RequestError(f"{options.out} cannot be written: name a file in a folder that exists")
    request = DrawRequest(options.country, options.size, month, options.reader, options.language, tuple(options.texts))
    drawn = draw_review_sheet(request, services.model, services.data.tables(), datetime.now(timezone.utc))
    sheet = drawn.sheet
    path = options.out or Path(f"review-{sheet.country}-{sheet.month:%Y-%m}-{sheet.reader}-{sheet.id}.xlsx")
    path.write_bytes(write_review_workbook(drawn))
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(drawn.drawn["kind"]).items()))
    print(f"{path}: {len(drawn.entries)} texts of {sheet.month:%Y-%m} ({counted}), in {sheet.language}")
    return 0


def parse_review_month(text: str) -> date:
    try:
        return parse_day(f"{text}-01")
    except RequestError:
        raise RequestError(f"{text!r} is no month: write YYYY-MM, for example 2026-11") from None


def read_review_sheet(services: Services, options: argparse.Namespace) -> int:
    try:
        body = options.file.read_bytes()
    except OSError as error:
        raise RequestError(f"{options.file} cannot be read: {error.strerror}") from None
    records = Records(services.data.bucket())
    file = open_returned_workbook(options.file.name, body)
    sheet = find_drawn_sheet(records, file, options.country, late=options.late)
    reading = read_labels(file, sheet, records.read_drawn_items(sheet))
    labels = merge_returned_labels(records.read_labels(sheet), reading.labels)
    if reading.labels:
        records.save_returned_labels(sheet, labels)
    for cell in reading.bad:
        print(cell, file=sys.stderr)
    cells = sum(map(len, reading.labels.values()))
    print(
        f"{sheet.country} {sheet.month:%Y-%m}: {cells} labels of {len(reading.labels)} texts kept, "
        f"{len(reading.bad)} cells to mend, {reading.comments} comments to read in the file"
    )
    return BAD_CELLS if reading.bad else 0


if __name__ == "__main__":
    sys.exit(main())
