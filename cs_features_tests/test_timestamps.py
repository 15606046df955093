"""Every spelling of a moment that ISO 8601 knows is the same moment; nothing else is one."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.timestamps import spell_out_timestamp

moments = st.datetimes(
    min_value=datetime(1900, 1, 1),
    max_value=datetime(2100, 1, 1),
    timezones=st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@st.composite
def spellings(draw: st.DrawFn) -> tuple[datetime, str]:
    """A moment, and a way to write it."""
    moment = draw(moments)
    fraction = draw(st.sampled_from(["", "0", "5", "442", "442000", "123456789"]))
    moment = moment.replace(microsecond=int(fraction[:6].ljust(6, "0")))
    clock = f"{moment:%H:%M:%S}"
    if fraction:
        clock += draw(st.sampled_from(".,")) + fraction
    elif moment.second == 0:
        clock = draw(st.sampled_from([clock, clock[:5]]))
    return moment, f"{moment:%Y-%m-%d}{draw(st.sampled_from('Tt '))}{clock}{draw(offsets_of(moment))}"


def offsets_of(moment: datetime) -> st.SearchStrategy[str]:
    offset = f"{moment:%z}"
    found = [offset, f"{offset[:3]}:{offset[3:]}"]
    if offset.endswith("00"):
        found.append(offset[:3])
    if offset == "+0000":
        found += ["Z", "z", "-00", "-00:00", "-0000"]
    return st.sampled_from([*found, *(each.replace("-", "\u2212") for each in found)])


@given(spellings())
def test_every_spelling_of_a_moment_is_read_as_that_moment(written: tuple[datetime, str]) -> None:
    """Fault 33: what DuckDB and Postgres export was rejected, document for document."""
    moment, spelling = written
    spelled = spell_out_timestamp(spelling)
    assert spelled is not None
    assert datetime.fromisoformat(spelled) == moment


@given(moments)
def test_what_is_spelled_out_stays_as_it_is(moment: datetime) -> None:
    spelled = spell_out_timestamp(moment.isoformat(timespec="microseconds"))
    assert spelled == moment.isoformat(timespec="microseconds")


@given(st.text(alphabet="0123456789-:+.,TtZz \u2212\n\u0662", max_size=40))
def test_what_is_no_moment_is_not_made_into_one(text: str) -> None:
    """A reader that guesses puts an interaction into another day, and its records under another event time."""
    spelled = spell_out_timestamp(text)
    assert spelled is None or (text[:10] == spelled[:10] and text[11:16] == spelled[11:16])


@pytest.mark.parametrize(
    "text",
    ["2026-11-24 09:30:00.442", "2026-11-24T09:30:00 +00", "2026-11-24T09:30:00+00\n", "2026-11-24T09:30:00+0", "now"],
)
def test_a_moment_without_a_whole_offset_is_none(text: str) -> None:
    """Without its offset a time is two hours wrong all summer, and nobody sees it."""
    assert spell_out_timestamp(text) is None


def test_digits_beyond_the_microsecond_are_cut_off() -> None:
    """Rounded, the last nanosecond of a day would be the day after, which is another partition."""
    assert spell_out_timestamp("2026-11-24T23:59:59.9999999Z") == "2026-11-24T23:59:59.999999+00:00"
