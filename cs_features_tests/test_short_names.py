"""Names in logs: enough to find the thing by, too little to say who somebody is."""

import hashlib

import pytest

from cs_features.short_names import shorten_interaction_id, shorten_object_key


def test_folders_of_ours_are_shown_and_names_of_others_by_a_digest_that_finds_them() -> None:
    """Producers name files after mail addresses and account numbers; refusals relayed the whole key."""
    key = "interactions/country=NL/date=2026-11-24/jan.jansen@example.com-NL91ABNA0417164300.jsonl.gz"
    shown = shorten_object_key(key)
    digest = hashlib.sha256(key.rsplit("/", 1)[-1].encode()).hexdigest()[:6]
    assert shown == f"interactions/country=NL/date=2026-11-24/jan~{digest}.jsonl.gz"


@pytest.mark.parametrize("secret", ["123456782", "NL91ABNA0417164300", "jan@example.com", "+31612345678"])
def test_no_name_of_a_person_gets_through_as_folder_file_or_suffix(secret: str) -> None:
    for key in (f"{secret}/a.json", f"interactions/{secret}", f"a/b.{secret}", f"country={secret}/x"):
        assert secret not in shorten_object_key(key)


def test_an_id_is_shown_by_its_beginning() -> None:
    assert shorten_interaction_id("0f3a6c1e-93c4-4d1c-8f0e-0123456789ab") == "0f3a6c1e..."
