"""The corpus of bad documents: every kind that we know of, with its bytes and the one reason it is rejected for.

A kind of `LINES` is one document, and can stand in a file of its own or between good neighbours; a kind of `FILES`
is a whole file, with the outcome of each document in it. `ODD_LINES` and `ODD_FILES` only look bad: they are
accepted. Each document has an id of its own, so that all of them can land in one partition.
"""

import bz2
import gzip
import io
import itertools
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from cs_features_tests.support.documents import document, gz, jsonl

Body = bytes | Callable[[], bytes]  # a function where it is megabytes
MIB = 1024 * 1024
_numbers = itertools.count(50_000)


def made(**changes: Any) -> bytes:
    """A good document, the like of which no other has; a change to `...` removes the field."""
    return json.dumps(document(next(_numbers), **changes), ensure_ascii=False).encode()


def says(*texts: str, speaker: str = "customer") -> list[dict[str, str]]:
    return [{"speaker": speaker, "text": text} for text in texts]


def said(text: str) -> bytes:
    return made(turns=says(text))


def at(moment: Any) -> bytes:
    return made(occurred_at=moment)


def with_extra(value: bytes) -> bytes:
    """A good document with an unknown field, whose value stands in the bytes as it is given."""
    return made()[:-1] + b', "extra": ' + value + b"}"


def with_raw_text(raw: bytes) -> bytes:
    """A good document whose text stands in the bytes as it is given, without its quotes."""
    return made(turns=..., text="@").replace(b'"@"', b'"' + raw + b'"')


def as_text(body: bytes, encoding: str) -> bytes:
    return body.decode().encode(encoding)


def uuid_of(line: bytes) -> str:
    return json.loads(line)["interaction_id"]


def with_id(change: Callable[[str], Any]) -> bytes:
    """A good document whose own id is spelled otherwise."""
    line = made()
    return json.dumps(json.loads(line) | {"interaction_id": change(uuid_of(line))}).encode()


RIGHT_TO_LEFT, ZERO_WIDTH = "\u202e\u2066\u200f", "\u200b\u200d\u200c\ufeff\u2060\u00ad"

LINES: dict[str, dict[str, Body]] = {
    "erased": {"the marker of an erasure": b'{"erased":true}'},
    "malformed_json": {
        # other notations
        "words": b"Waar blijft mijn pakket?",
        "a page of HTML": b"<!doctype html><title>502 Bad Gateway</title>",
        "XML": b'<?xml version="1.0"?><interaction><text>hallo</text></interaction>',
        "YAML": b"{interaction_id: 1, text: hallo}",
        "a CSV header": b"interaction_id,occurred_at,country",
        "a Python literal": b"{'interaction_id': None, 'text': 'hallo', 'ok': True}",
        "single quotes": b"{'interaction_id': '1'}",
        "a key without quotes": made().replace(b'"country"', b"country"),
        "a trailing comma in the object": made()[:-1] + b",}",
        "a trailing comma in a list": made().replace(b"}]", b"},]"),
        "a missing comma": made().replace(b', "country"', b' "country"'),
        "a colon too many": made().replace(b'"country":', b'"country"::'),
        "a comment": made()[:-1] + b" /* by hand */ }",
        "a comment at the end of the line": made() + b" // by hand",
        "a number sign for a comment": made()[:-1] + b" # by hand }",
        "undefined": with_extra(b"undefined"),
        "None": with_extra(b"None"),
        "a hexadecimal number": with_extra(b"0xff"),
        "a leading zero": with_extra(b"007"),
        "a leading plus": with_extra(b"+1"),
        "a bare decimal point": with_extra(b".5"),
        "NaN": with_extra(b"NaN"),
        "Infinity": with_extra(b"Infinity"),
        "minus infinity": with_extra(b"-Infinity"),
        "a number of five thousand digits": with_extra(b"9" * 5_000),
        "JSONP": b"callback(" + made() + b");",
        "a guard against hijacking": b")]}'," + made(),
        "a record separator before it": b"\x1e" + made(),
        "base64": b"eyJpbnRlcmFjdGlvbl9pZCI6ICIxIn0=",
        # too little and too much
        "cut in the middle": made()[:80],
        "cut in the middle of a letter": said("caf\u00e9").partition("\u00e9".encode())[0],
        "cut before its last brace": made()[:-1],
        "without its first brace": made()[1:],
        "two documents on a line": made() + made(),
        "two documents on a line with a comma": made() + b"," + made(),
        "a document and a half": made() + made()[:40],
        "something behind it": made() + b" OK",
        "a NUL behind it": made() + b"\0",
        "nothing but NULs": b"\0" * 64,
        "a single quote mark": b'"',
        # strings
        "a raw tab in a string": with_raw_text(b"a\tb"),
        "a raw NUL in a string": with_raw_text(b"a\0b"),
        "a raw escape character in a string": with_raw_text(b"\x1b[31mrood"),
        "a raw carriage return in a string": with_raw_text(b"a\rb"),
        "half a surrogate pair": with_raw_text(rb"\ud83d"),
        "the other half": with_raw_text(rb"\ude21"),
        "a surrogate pair the wrong way round": with_raw_text(rb"\ude21\ud83d"),
        "half a surrogate pair in a key": made()[:-1] + rb', "\ud83d": 1}',
        "half a surrogate pair for an id": made(interaction_id="@").replace(b'"@"', rb'"\udead"'),
        "an unknown escape": with_raw_text(rb"\x41"),
        "an escape cut short": with_raw_text(rb"\u12"),
        "an unclosed string": made()[:-1] + b', "extra": "open}',
        # nesting
        "a hundred thousand open brackets": b"[" * 100_000,
        "a hundred thousand open braces": b'{"a":' * 100_000,
        "a hundred thousand nested lists": b"[" * 100_000 + b"]" * 100_000,
        "deep nesting in an unknown field": with_extra(b"[" * 100_000 + b"]" * 100_000),
        "deep nesting in turns": made(turns="@").replace(b'"@"', b"[" * 50_000 + b"]" * 50_000),
        # byte order marks and other encodings that happen to be UTF-8
        "a byte order mark twice": b"\xef\xbb\xbf" * 2 + made(),
        "a byte order mark inside": made().replace(b'{"interaction_id"', b'{\xef\xbb\xbf"interaction_id"'),
        "a byte order mark alone": b"\xef\xbb\xbf",
        "a no-break space before it": b"\xc2\xa0" + made(),
        "UTF-16, little end first, without a mark": as_text(made(), "utf-16-le"),
        "UTF-16, big end first, without a mark": as_text(made(), "utf-16-be"),
        "UTF-32 without a mark": as_text(made(), "utf-32-le"),
        "UTF-7": b"+AHsAIg-interaction_id+ACIAOg- 1+AH0-",
        "curly quotes": made().replace(b'"country"', "\u201ccountry\u201d".encode()),
    },
    "not_utf8": {
        "UTF-16": as_text(made(), "utf-16"),
        "UTF-16, big end first": b"\xfe\xff" + as_text(made(), "utf-16-be"),
        "UTF-32": as_text(made(), "utf-32"),
        "Latin-1": as_text(said("caf\u00e9"), "latin-1"),
        "Windows-1252": as_text(said("\u20ac 5 \u2013 \u201cecht\u201d"), "cp1252"),
        "ISO 8859-2": as_text(said("gdzie jest przesy\u0142ka"), "iso8859-2"),
        "Shift JIS": as_text(said("\u8377\u7269"), "shift_jis"),
        "an EBCDIC brace": b"\xc0" + made(),
        "a slash in two bytes": with_raw_text(b"\xc0\xaf"),
        "a slash in three bytes": with_raw_text(b"\xe0\x80\xaf"),
        "a NUL in two bytes": with_raw_text(b"\xc0\x80"),
        "a surrogate encoded": with_raw_text(b"\xed\xa0\xbd"),
        "a surrogate pair encoded (CESU-8)": with_raw_text(b"\xed\xa0\xbd\xed\xb8\xa1"),
        "beyond the last code point": with_raw_text(b"\xf4\x90\x80\x80"),
        "a sequence of five bytes": with_raw_text(b"\xf8\x88\x80\x80\x80"),
        "a sequence cut short": with_raw_text(b"\xe2\x82"),
        "a byte that follows none": with_raw_text(b"\x80"),
        "a bad byte in a key": made()[:-1] + b', "\xff": 1}',
        "a bad byte behind it": made() + b"\xff",
        "MessagePack": b"\x82\xaeinteraction_id\xa11\xa4text\xa5hallo",
        "a picture": b"\x89PNG\r\x1a\x00\x00",
        "Parquet": b"PAR1\x15\x04\x15\x80\xffPAR1",
    },
    "not_an_object": {
        "an array of documents": b"[" + made() + b"]",
        "an empty array": b"[]",
        "a document in a string": json.dumps(made().decode()).encode(),
        "a string": b'"hello"',
        "a number": b"42",
        "a huge exponent": b"1e400",
        "minus zero": b"-0",
        "null": b"null",
        "true": b"true",
    },
    "document_too_large": {
        "ten megabytes of text": lambda: said("Waar blijft mijn pakket? " * 400_000),
        "ten megabytes of one letter": lambda: said("x" * 10_000_000),
        "ten megabytes of escapes": lambda: with_raw_text(rb"\u0041" * 1_700_000),
        "ten megabytes of emoji": lambda: said("\U0001f621" * 2_500_000),
        "ten megabytes of digits": lambda: with_extra(b"7" * 10_000_000),
        "ten megabytes of open brackets": lambda: b"[" * 10_000_000,
        "ten megabytes of NULs": lambda: b"\0" * 10_000_000,
        "ten megabytes of bad bytes": lambda: b"\xff" * 10_000_000,
        "ten megabytes in an unknown field": lambda: with_extra(b'"' + b"x" * 10_000_000 + b'"'),
        "ten megabytes of spaces inside": lambda: made()[:-1] + b" " * 10_000_000 + b"}",
        "ten megabytes of spaces before it": lambda: b" " * 10_000_000 + made(),
        "a key of ten megabytes": lambda: made()[:-1] + b', "' + b"k" * 10_000_000 + b'": 1}',
        "a million turns": lambda: made(turns=says("a") * 1_000_000),
        "a byte above the limit": lambda: (line := made())[:-1] + b" " * (2 * MIB + 1 - len(line)) + b"}",
    },
    "missing_field": {
        "an empty object": b"{}",
        "an error of the exporter": b'{"error": "rate limit exceeded", "status": 429}',
        "the document one level down": b'{"data": ' + made() + b"}",
        "no interaction_id": made(interaction_id=...),
        "no occurred_at": made(occurred_at=...),
        "no country": made(country=...),
        "no channel": made(channel=...),
        "neither turns nor text": made(turns=...),
        "turns and text of null": made(turns=None, text=None),
        "a turn without a speaker": made(turns=[{"text": "hallo"}]),
        "a turn without a text": made(turns=[{"speaker": "agent"}]),
        "an empty turn": made(turns=[{}]),
        "a Cyrillic letter in a key": made().replace(b'"country"', '"c\u043euntry"'.encode()),
        "a zero-width space in a key": made().replace(b'"country"', '"coun\u200btry"'.encode()),
        "keys in capitals": made().replace(b'"country"', b'"COUNTRY"'),
        "a space in a key": made().replace(b'"country"', b'"country "'),
        "sixty thousand wrong turns": lambda: made(turns=[{}] * 60_000),
    },
    "wrong_type": {
        "an id that is a number": made(interaction_id=7),
        "an id that is null": made(interaction_id=None),
        "an id that is true": made(interaction_id=True),
        "an id in a list": with_id(lambda it: [it]),
        "an id in an object": with_id(lambda it: {"$oid": it}),
        "a country that is a number": made(country=31),
        "a country that is null": made(country=None),
        "a country in a list": made(country=["NL"]),
        "a time in seconds since 1970": at(1741077000),
        "a time in milliseconds since 1970": at(1741077000000),
        "a time with a fraction": at(1741077000.5),
        "a time of 1e400": at("@").replace(b'"@"', b"1e400"),
        "a time of forty digits": at("@").replace(b'"@"', b"1" * 40),
        "a time that is null": at(None),
        "a time in an object": at({"$date": "2025-03-04T09:30:00Z"}),
        "turns that are a string": made(turns="hallo"),
        "turns that are an object": made(turns={"0": {"speaker": "customer", "text": "hallo"}}),
        "turns that are true": made(turns=True),
        "a turn that is a string": made(turns=["hallo"]),
        "a turn that is null": made(turns=[None]),
        "turns in turns": made(turns=[says("hallo")]),
        "a turn's text that is a number": made(turns=[{"speaker": "customer", "text": 5}]),
        "a turn's text that is null": made(turns=[{"speaker": "customer", "text": None}]),
        "a turn's text in a list": made(turns=[{"speaker": "customer", "text": ["hallo"]}]),
        "a text in a list": made(turns=..., text=["hallo"]),
        "a text in an object": made(turns=..., text={"nl": "hallo"}),
        "a text that is a number": made(turns=..., text=5),
        "a customer_id that is a number": made(customer_id=5),
        "a customer_id in an object": made(customer_id={"id": "c"}),
        "a language that is a number": made(language=5),
        "languages in a list": made(language=["nl", "en"]),
    },
    "invalid_value": {
        "an id that is a small number in quotes": made(interaction_id="4711"),
        "an id that is empty": made(interaction_id=""),
        "an id of a megabyte": made(interaction_id="a" * MIB),
        "an id with a space behind it": with_id(lambda it: f"{it} "),
        "an id with a line break behind it": with_id(lambda it: f"{it}\n"),
        "an id with a NUL behind it": with_id(lambda it: f"{it}\0"),
        "an id with a zero-width space": with_id(lambda it: f"\u200b{it}"),
        "an id with a direction mark": with_id(lambda it: f"{it}\u202e"),
        "an id a digit short": with_id(lambda it: it[:-1]),
        "an id a digit long": with_id(lambda it: f"{it}0"),
        "an id with a g": with_id(lambda it: f"g{it[1:]}"),
        "an id in parentheses": with_id(lambda it: f"({it})"),
        "an id in one brace": with_id(lambda it: f"{{{it}"),
        "an id with typographic hyphens": with_id(lambda it: it.replace("-", "\u2010")),
        "an id with fullwidth digits": with_id(lambda it: it[:-2] + "\uff10\uff11"),
        "an id grouped otherwise": with_id(lambda it: it.replace("-", "")[:16] + "-" + it.replace("-", "")[16:]),
        "a ULID": made(interaction_id="01HQZX3VJ4M6Y8K2N5P7R9T1WA"),
        "the nil UUID": made(interaction_id="00000000-0000-0000-0000-000000000000"),
        "the UUID of all ones": made(interaction_id="FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"),
        "a time without an offset": at("2025-03-04T09:30:00"),
        "a time with a zone's name": at("2025-03-04T09:30:00 CET"),
        "a time with a zone in brackets": at("2025-03-04T09:30:00+01:00[Europe/Amsterdam]"),
        "a date alone": at("2025-03-04"),
        "a time of day alone": at("09:30:00Z"),
        "a week date": at("2025-W10-2T09:30:00Z"),
        "a day of the year": at("2025-063T09:30:00Z"),
        "a time without hyphens": at("20250304T093000Z"),
        "a time in words": at("yesterday"),
        "a time as e-mail has it": at("Tue, 04 Mar 2025 09:30:00 +0100"),
        "a time as the British write it": at("04/03/2025 09:30"),
        "a time with a space before its offset": at("2025-03-04 09:30:00 +01:00"),
        "a time with an offset of one digit": at("2025-03-04 09:30:00+1"),
        "a time with an offset of three digits": at("2025-03-04T09:30:00+010"),
        "a time with two offsets": at("2025-03-04T09:30:00Z+00"),
        "a time with a sign and no offset": at("2025-03-04T09:30:00+"),
        "a time with a comma and no fraction": at("2025-03-04T09:30:00,Z"),
        "a time with an offset of 99 hours and no minutes": at("2025-03-04T09:30:00+99"),
        "seconds since 1970 in quotes": at("1741077000"),
        "a negative year": at("-2025-03-04T09:30:00Z"),
        "year 0": at("0000-03-04T09:30:00Z"),
        "year 10000": at("10000-03-04T09:30:00Z"),
        "before year 1 in UTC": at("0001-01-01T00:00:00+01:00"),
        "after year 9999 in UTC": at("9999-12-31T23:59:59-01:00"),
        "month 13": at("2025-13-04T09:30:00Z"),
        "30 February": at("2025-02-30T09:30:00Z"),
        "29 February of no leap year": at("2025-02-29T09:30:00Z"),
        "hour 24": at("2025-03-04T24:00:00Z"),
        "hour 25": at("2025-03-04T25:00:00Z"),
        "minute 60": at("2025-03-04T09:60:00Z"),
        "a leap second": at("2025-03-04T23:59:60Z"),
        "an offset of 24 hours": at("2025-03-04T09:30:00+24:00"),
        "an offset of 99 hours": at("2025-03-04T09:30:00+99:99"),
        "a time with a NUL behind it": at("2025-03-04T09:30:00Z\0"),
        "a time with spaces around it": at(" 2025-03-04T09:30:00Z "),
        "a time in fullwidth digits": at("\uff12\uff10\uff12\uff15-03-04T09:30:00Z"),
        "a time in Arabic digits": at("\u0662\u0660\u0662\u0665-03-04T09:30:00Z"),
        "an empty time": at(""),
        "an unknown channel": made(channel="fax"),
        "a channel in capitals": made(channel="Chat"),
        "a channel that is null": made(channel=None),
        "channels in a list": made(channel=["chat"]),
        "an unknown speaker": made(turns=says("hallo", speaker="bot")),
        "a speaker that is null": made(turns=[{"speaker": None, "text": "hallo"}]),
        "a country in small letters": made(country="nl"),
        "a country with a Greek letter": made(country="\u039dL"),
        "a country in fullwidth letters": made(country="\uff2e\uff2c"),
        "a country of three letters": made(country="NLD"),
        "a country by name": made(country="Netherlands"),
        "a country with a line break": made(country="NL\n"),
        "an empty country": made(country=""),
        "a country of a megabyte": made(country="N" * MIB),
        "a language by name": made(language="Dutch"),
        "a language with its region": made(language="nl-NL"),
        "a language in capitals": made(language="NL"),
        "an empty language": made(language=""),
        "a customer_id that is empty": made(customer_id=""),
        "a customer_id of 300 characters": made(customer_id="c" * 300),
        "a customer_id with a line break": made(customer_id="c-1\nc-2"),
        "a customer_id with a NUL": made(customer_id="c-1\0"),
        "a customer_id with a zero-width space": made(customer_id="c\u200b-1"),
        "a customer_id turned round": made(customer_id="\u202e1-c"),
        "a customer_id of spaces": made(customer_id="  "),
    },
    "empty_text": {
        "no turns": made(turns=[]),
        "an empty text": made(turns=..., text=""),
        "turns that all are empty": made(turns=says("", "", "")),
        "spaces and line breaks": made(turns=says(" \t", "\r\n\u2003\u00a0")),
        "line and paragraph separators": said("\u2028\u2029\u0085"),
        "zero-width characters": said(ZERO_WIDTH),
        "direction overrides": made(turns=..., text=RIGHT_TO_LEFT),
        "NUL characters": said("\0\0"),
        "C0 control characters": said("".join(map(chr, range(0x20)))),
        "C1 control characters": said("".join(map(chr, range(0x7F, 0xA0)))),
        "tags that nobody sees": said("\U000e0041\U000e0042"),
        "variation selectors": said("\ufe0f\U000e0100"),
        "accents without a letter": said("\u0301\u0300\u034f"),
        "Hangul fillers": said("\u3164\u115f\u1160\uffa0"),
        "blank Braille": said("\u2800\u2800"),
        "private characters": said("\ue000\U000f0000"),
        "no characters at all": said("\ufdd0\uffff\U0010ffff"),
        "objects that were left out": said("\ufffc"),
        "replacement characters": said("\ufffd\ufffd"),
    },
    "country_mismatch": {
        "another country": made(country="BE"),
        "a country that is none": made(country="XX"),
        "the historical name of the country": made(country="HO"),
    },
    "date_mismatch": {
        "another day": at("2025-03-05T09:30:00Z"),
        "another century": at("1925-03-04T09:30:00Z"),
        "the day of 1970": at("1970-01-01T00:00:00Z"),
        "the first day there is": at("0001-01-01T00:00:00Z"),
        "the last day there is": at("9999-12-31T23:59:59Z"),
        "the day of the path here, the day after in UTC": at("2025-03-04T23:30:00-01:00"),
        "the day of the path here, the day before in UTC": at("2025-03-04T00:30:00+01:00"),
        "an offset of almost a day": at("2025-03-04T09:30:00+23:59"),
    },
}

ODD_LINES: dict[str, bytes] = {
    "as it should be": made(),
    "a byte order mark": b"\xef\xbb\xbf" + made(),
    "a byte order mark and no language": b"\xef\xbb\xbf" + made(language=...),
    "spaces and a carriage return around it": b" \t" + made() + b" \r",
    "text instead of turns": made(turns=..., text="Waar blijft mijn pakket?"),
    "text beside empty turns": made(turns=[], text="Waar blijft mijn pakket?"),
    "no optional field": made(customer_id=..., language=...),
    "optional fields of null": made(customer_id=None, language=None),
    "everything in ASCII": json.dumps(json.loads(said("caf\u00e9 \U0001f621"))).encode(),
    "emoji, accents, Arabic": said("\U0001f621 o\u00f9 est ma commande \u061f \u0623\u064a\u0646"),
    "a question mark": said("?"),
    "one emoji": said("\U0001f44d\ufe0f"),
    "some silent turns": made(turns=says("", "hallo", " ")),
    # characters
    "a NUL between words": said("waar\0blijft het"),
    "an escape sequence of a terminal": said("\x1b[31mrood\x1b[0m"),
    "words turned round": said(f"{RIGHT_TO_LEFT}pakket\u202c"),
    "zero-width characters between letters": said(ZERO_WIDTH.join("pakket")),
    "letters under a hundred accents": said("a" + "\u0301" * 100),
    "line and paragraph separators in a text": said("een\u2028twee\u2029drie\u0085vier"),
    "a surrogate pair in escapes": with_raw_text(rb"boos \ud83d\ude21"),
    "every escape there is": with_raw_text(rb"a\"\\\/\b\f\n\r\t\u00e9"),
    "an escaped key": made().replace(b'"country"', rb'"\u0063ountry"'),
    # numbers, nesting and keys that nobody reads
    "unknown fields": with_extra(b'{"a": [1, 2, {"b": null}]}'),
    "an unknown field of 1e999": with_extra(b"1e999"),
    "an unknown field of four thousand digits": with_extra(b"9" * 4_000),
    "an unknown field of a hundred levels": with_extra(b"[" * 100 + b"]" * 100),
    "keys of other languages' machinery": made()[:-1] + b', "__proto__": {}, "$ref": "#", "": 0, "__class__": "x"}',
    "ten thousand unknown fields": made()[:-1] + b"".join(b', "k%d": 0' % n for n in range(10_000)) + b"}",
    "an unknown field in a turn": made(turns=[{"speaker": "customer", "text": "hallo", "sentiment": "angry"}]),
    "a field twice": made()[:-1] + b', "channel": "phone"}',
    "almost two megabytes": said("Waar blijft mijn pakket? " * 80_000),
    # ids
    "an id in capitals": with_id(str.upper),
    "an id in braces": with_id(lambda it: f"{{{it}}}"),
    "an id as a URN": with_id(lambda it: f"urn:uuid:{it}"),
    "an id without hyphens": with_id(lambda it: it.replace("-", "")),
    # times
    "the day after here, the day of the path in UTC": at("2025-03-05T00:30:00+01:00"),
    "the day before here, the day of the path in UTC": at("2025-03-03T23:30:00-01:00"),
    "the first microsecond": at("2025-03-04T00:00:00Z"),
    "the last microsecond": at("2025-03-04T23:59:59.999999Z"),
    "nanoseconds": at("2025-03-04T09:30:00.123456789Z"),
    "a time without seconds": at("2025-03-04T09:30Z"),
    "a space instead of the T": at("2025-03-04 09:30:00+01:00"),
    "small letters in a time": at("2025-03-04t09:30:00z"),
    "an offset without a colon": at("2025-03-04T09:30:00+0100"),
    "an offset of minus zero": at("2025-03-04T09:30:00-00:00"),
    "a time as DuckDB writes it": at("2025-03-04 09:30:00.442+00"),
    "a time as Postgres writes it": at("2025-03-04 11:30:00+02"),
    "a time as Postgres writes it in India": at("2025-03-04 15:00:00.1+05:30"),
    "hours alone in an offset behind a T": at("2025-03-04T09:30-03"),
    "a comma before the fraction": at("2025-03-04T09:30:00,442Z"),
    "a minus sign that is no hyphen": at("2025-03-04T09:30:00\u221203:00"),
    "twenty digits of a fraction": at("2025-03-04T23:59:59.99999999999999999999Z"),
}  # fmt: skip


def zipped(name: str, body: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), body)
    return buffer.getvalue()


def damaged(at_byte: int) -> bytes:
    body = bytearray(gz(jsonl([made(), made()])))
    body[at_byte] ^= 0xFF
    return bytes(body)


def two() -> bytes:
    return jsonl([made(), made()])


@cache
def bomb(size: int, of: bytes = b"0") -> bytes:
    """`size` bytes in a thousandth of them."""
    packer = zlib.compressobj(9, wbits=31)
    chunk = of * (MIB // len(of))
    return b"".join([*(packer.compress(chunk) for _ in range(size // MIB)), packer.flush()])


# suffix, body, and the outcome of each document in the file, in order
FILES: dict[str, tuple[str, Body, list[str]]] = {
    "CSV": (".csv", b"interaction_id,text\n1,hallo\n", ["unsupported_file"]),
    "no suffix": ("", two(), ["unsupported_file"]),
    "a suffix in capitals": (".JSON", made(), ["unsupported_file"]),
    "one document in gzip": (".json.gz", gz(made()), ["unsupported_file"]),
    "a file that is still written": (".jsonl.gz.part", gz(two()), ["unsupported_file"]),
    "a zip archive": (".jsonl.zip", zipped("a.jsonl", two()), ["unsupported_file"]),
    "ten megabytes of another kind": (".parquet", lambda: b"PAR1" * 2_500_000, ["unsupported_file"]),
    "wrong checksum": (".jsonl.gz", damaged(-5), ["corrupt_gzip"]),
    "wrong length": (".jsonl.gz", damaged(-1), ["corrupt_gzip"]),
    "wrong magic": (".jsonl.gz", damaged(0), ["corrupt_gzip"]),
    "an unknown method": (".jsonl.gz", damaged(2), ["corrupt_gzip"]),
    "broken data": (".jsonl.gz", damaged(14), ["corrupt_gzip"]),
    "no gzip at all": (".jsonl.gz", two(), ["corrupt_gzip"]),
    "something behind the gzip": (".jsonl.gz", gz(two()) + b"tail", ["corrupt_gzip"]),
    "a document behind the gzip": (".jsonl.gz", gz(two()) + made(), ["corrupt_gzip"]),
    "a second member that is damaged": (".jsonl.gz", gz(two()) + damaged(-5), ["corrupt_gzip"]),
    "zip under gzip's name": (".jsonl.gz", zipped("a.jsonl", two()), ["corrupt_gzip"]),
    "bzip2 under gzip's name": (".jsonl.gz", bz2.compress(two()), ["corrupt_gzip"]),
    "xz under gzip's name": (".jsonl.gz", lzma.compress(two()), ["corrupt_gzip"]),
    "zstd under gzip's name": (".jsonl.gz", b"\x28\xb5\x2f\xfd\x04\x00\x11\x00\x00{}\n", ["corrupt_gzip"]),
    "zlib under gzip's name": (".jsonl.gz", zlib.compress(two()), ["corrupt_gzip"]),
    "an HTML page under gzip's name": (".jsonl.gz", b"<html>403 Forbidden</html>", ["corrupt_gzip"]),
    "gzip in gzip": (".jsonl.gz", gz(gz(b"x")), ["not_utf8"]),
    "gzip under the name of plain text": (".jsonl", gz(b"x"), ["not_utf8"]),
    "a gzip that lost its trailer": (".jsonl.gz", gz(two())[:-8], ["accepted", "accepted", "truncated_gzip"]),
    "a gzip cut in its trailer": (".jsonl.gz", gz(two())[:-3], ["accepted", "accepted", "truncated_gzip"]),
    "a gzip cut in its header": (".jsonl.gz", gz(two())[:7], ["truncated_gzip"]),
    "one byte of a gzip": (".jsonl.gz", b"\x1f", ["truncated_gzip"]),
    "a gzip cut a byte into its second member": (
        ".jsonl.gz",
        gz(two()) + b"\x1f",
        ["accepted", "accepted", "truncated_gzip"],
    ),
    "UTF-16 with line breaks": (".jsonl", as_text(two(), "utf-16"), ["not_utf8", "malformed_json", "malformed_json"]),
    "line ends of an old Macintosh": (".jsonl", two().replace(b"\n", b"\r"), ["malformed_json"]),
    "a pretty-printed document in lines": (
        ".jsonl",
        json.dumps({"text": "hallo"}, indent=1).encode(),
        ["malformed_json"] * 3,
    ),
    "many documents in a file for one": (".json", two(), ["malformed_json"]),
    "a list over many lines": (".json", b"[\n" + made() + b",\n" + made() + b"\n]", ["not_an_object"]),
    "blanks in a file for one": (".json", b" \n\t ", ["malformed_json"]),
    "ten megabytes of blanks in a file for one": (".json", lambda: b" \n" * 5_000_000, ["document_too_large"]),
    "a bomb of one line": (".jsonl.gz", lambda: bomb(64 * MIB), ["document_too_large"]),
}

ODD_FILES: dict[str, tuple[str, Body, list[str]]] = {
    "a document over many lines": (".json", json.dumps(json.loads(made()), indent=4).encode(), ["accepted"]),
    "line ends of Windows": (".jsonl", two().replace(b"\n", b"\r\n") + b"\r\n", ["accepted"] * 2),
    "blank lines": (".jsonl", b"\n \n" + made() + b"\n\t\n\n" + made() + b"\n\n", ["accepted"] * 2),
    "no last line end": (".jsonl", made() + b"\n" + made(), ["accepted"] * 2),
    "byte order marks where files were joined": (".jsonl", b"\xef\xbb\xbf".join([b"", two(), two()]), ["accepted"] * 4),
    "gzip members one after the other": (".jsonl.gz", gz(two()) + gz(two()), ["accepted"] * 4),
    "a document over two gzip members": (
        ".jsonl.gz",
        b"".join(map(gz, (lambda line: (line[:50], line[50:]))(made()))),
        ["accepted"],
    ),
    "padding behind the gzip": (".jsonl.gz", gz(two()) + b"\0" * 512, ["accepted"] * 2),
    "a gzip that is not compressed": (".jsonl.gz", gzip.compress(two(), 0), ["accepted"] * 2),
    "a gzip with nothing in it": (".jsonl.gz", gz(b""), []),
    "nothing but blank lines": (".jsonl", b"\n" * 1_000 + b" \n" * 1_000, []),
    "ten megabytes of blanks": (".jsonl", lambda: b" " * 10_000_000, []),
}


def body_of(body: Body) -> bytes:
    return body if isinstance(body, bytes) else body()
