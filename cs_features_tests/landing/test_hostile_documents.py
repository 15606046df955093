"""Whoever chooses ids, customers and names of files takes over nothing, hides nothing and runs nothing."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.privacy.unseen import hides_something, spell_out_cell, spell_out_unseen
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.landing import outcomes, read

VICTIM = id_of(1)
FULL_WIDTH = VICTIM.translate({ord(digit): 0xFF10 + int(digit) for digit in "0123456789"})
SPELLED = [VICTIM.upper(), f"{{{VICTIM}}}", f"urn:uuid:{VICTIM}", VICTIM.replace("-", "")]
IDS = [
    *("=cmd|'/C calc'!A0", "@SUM(1)", "../../x", "\u202eabc\u202c", "a\U000e0041\U000e0042", "a\nb", "a\x00b"),
    *(FULL_WIDTH, f" {VICTIM}", f"{VICTIM}\n", f"{VICTIM[:-1]}_", "jose\u0301", "x" * 5000, "<script>alert(1)"),
    *("\x1b[31mred", "jan@example.com", "NL91ABNA0417164300", "+31612345678", "", 5, None, [], {}),
]
SEEN = ["jan@example.com", "NL91ABNA0417164300", "=cmd|'/C calc'!A0", "<script>", "../../x", "jose\u0301"]
HIDING = ["c-1\n", "c\x00", "\u202ec", "c\U000e0041", "c-1\u200b", "c\ufe01-1", "c\u034f1", "c\u31641", "x" * 257]


def by_evil(number: int, interaction_id: Any) -> dict[str, Any]:
    changes = {"interaction_id": interaction_id, "customer_id": "c-666", "turns": ..., "text": f"Opgelost {number}."}
    return document(f"evil {number}", **changes)


def test_whatever_stands_where_an_id_belongs_nobodys_record_is_taken_over_and_nothing_hides(lab: Lab) -> None:
    """In the victim's own country and day another spelling of his id was enough: the file that landed later won. And
    what people read to mend a feed held escapes of terminals, directions and formulas."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2)]))
    assert lab.process("NL").success
    before = lab.online(VICTIM)
    assert before is not None
    hostile = [by_evil(number, each) for number, each in enumerate([*IDS, *SPELLED])]
    lab.land("NL", DAY, "=b\u202ec.jsonl", jsonl(hostile))
    customers = [document(f"c {number}", customer_id=each) for number, each in enumerate([*SEEN, *HIDING])]
    lab.land("NL", DAY, "c.jsonl", jsonl(customers))
    run = lab.process("NL")
    assert run.success, run.errors
    assert run.checks["conservation"].passed
    assert not run.checks["id_conflicts"].passed
    assert lab.online(VICTIM) == before
    ids = lab.table("validated_features")["interaction_id"].to_list()
    assert ids == [str(UUID(each)) for each in ids]
    for number, customer in enumerate(SEEN):
        record = lab.online(id_of(f"c {number}"))
        assert record is not None
        assert record["customer_id"] == customer
    rejects = lab.table("rejected_records").drop("source_uri").to_dicts()
    assert len(rejects) == len(IDS) + len(SPELLED) + len(HIDING) + 1
    told = [value for row in rejects for value in row.values() if isinstance(value, str)]
    assert not [value for value in told if hides_something(value)]
    assert not [row for row in rejects if (row["interaction_id"] or "").startswith(("=", "+", "-", "@"))]
    log = "\n".join(f"{event.message} {event.user_message}" for event in lab.instance.all_logs(run.result.run_id))
    assert not [each for each in [*IDS, *SEEN] if isinstance(each, str) and len(each) > 6 and each in log]


@pytest.mark.parametrize(
    ("customers", "words", "expected"),
    [
        (("c-1", "c-2"), "ab", ["duplicate_id", "id_conflict"]),
        (("c-1", ...), "ab", ["duplicate_id", "id_conflict"]),
        (("c-1", "c-1"), "ab", ["duplicate_id", "accepted"]),
        (("c-1", "c-2"), "aa", ["duplicate_id", "accepted"]),
        ((..., ...), "ab", ["duplicate_id", "accepted"]),
        ((..., "c-1"), "ab", ["duplicate_id", "accepted"]),
    ],
)
def test_who_lands_later_in_the_same_partition_has_the_id_only_of_the_same_interaction(
    customers: tuple[Any, Any], words: str, expected: list[str]
) -> None:
    """A feed corrects words, or whose they are; who changes both knows an id and nothing else."""
    both = [
        document(1, customer_id=customer, turns=..., text=text) for customer, text in zip(customers, words, strict=True)
    ]
    raw = read(("a.jsonl", jsonl(both)))
    assert outcomes(raw) == expected
    assert raw["interaction_id"].to_list() == [None, VICTIM], "and no id stands on both sides"


@given(st.text())
def test_what_cannot_be_seen_is_spelled_out_and_json_means_the_same(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    shown = spell_out_unseen(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(shown) == {"a": text}
    assert not hides_something(shown)
    assert not spell_out_cell(text).startswith(("=", "+", "-", "@"))
