"""Which sheet a file is: one that was drawn here, for this country, and the newest that its colleague has."""

from cs_features.errors import RequestError
from cs_features.review.records import Records, Sheet
from cs_features.review.returned import File


def find_drawn_sheet(records: Records, file: File, country: str | None, *, late: bool = False) -> Sheet:
    """The sheet on record.

    Raises:
        RequestError: the file is of another country, another bucket, or an earlier month, with what to do.
    """
    if country is not None and file.country != country:
        raise RequestError(f"The file is a sheet of {file.country}, not of {country}: ask for the right one")
    sheets = records.list_drawn_sheets(file.country)
    sheet = next((each for each in sheets if each.id == file.sheet_id), None)
    if sheet is None:
        raise RequestError(f"No such sheet of {file.country} was drawn in this data bucket: is it another account's?")
    newest = [each for each in sheets if each.reader == sheet.reader][-1]
    if newest.id != sheet.id and not late:
        raise RequestError(
            f"The file is sheet {sheet.id} of {sheet.drawn_at:%Y-%m-%d}, and colleague {sheet.reader} has a newer one, "
            f"{newest.id} of {newest.drawn_at:%Y-%m-%d}: ask for that one, or read this one with --late"
        )
    return sheet
