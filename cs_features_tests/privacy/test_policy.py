"""Which texts are masked before the model, and that what is hashed is what is asked."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.environments import Settings
from cs_features.extraction.models import capabilities_of
from cs_features.extraction.prompting import RequestPlanner, build_converse_request, request_hash
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.privacy.policy import MASK_EVERYTHING, MaskingPolicy
from cs_features.schemas import Interaction
from cs_features.services import build_services_from
from cs_features_tests.support.documents import document
from cs_features_tests.support.lab import PROMPTS

PROMPTS_READ, MODEL = load_prompt_folder(PROMPTS), capabilities_of("eu.anthropic.claude-haiku-5-5")
NUMBER = "06-12345678"


def request_for(policy: MaskingPolicy, text: str = f"Bel {NUMBER} graag.", **changes: Any) -> dict[str, Any]:
    turns = [{"speaker": "customer", "text": text}]
    interaction = Interaction.model_validate(document(1, turns=turns, **changes))
    return build_converse_request(PROMPTS_READ, MODEL, interaction, "nl", policy)[0]


def test_everything_is_masked_unless_somebody_says_otherwise() -> None:
    """Names, health and addresses reached the model and, through its summaries, the store."""
    assert build_services_from(Settings()).model.masking == MASK_EVERYTHING
    assert NUMBER not in json.dumps(request_for(MASK_EVERYTHING))
    assert "[PHONE_1]" in json.dumps(request_for(MASK_EVERYTHING))


def test_a_country_is_switched_off_alone() -> None:
    policy = build_services_from(Settings(unmasked_countries="PL, ES")).model.masking
    assert not policy.covers("ES", date(2026, 11, 27))
    assert policy.covers("NL", date(2026, 11, 27))
    with pytest.raises(ValueError, match="unmasked_countries"):
        Settings(unmasked_countries="Poland")


def test_masking_may_begin_on_a_day_so_that_the_days_before_are_not_asked_again() -> None:
    """Switched on at once, it would ask and pay again for every interaction with a number in it."""
    policy = build_services_from(Settings(masked_from=date(2026, 11, 24))).model.masking
    assert [policy.covers("NL", date(2026, 11, day)) for day in (23, 24)] == [False, True]
    before = request_for(policy, occurred_at="2026-11-23T12:00:00+00:00")
    after = request_for(policy, occurred_at="2026-11-24T00:00:00+00:00")
    assert NUMBER in json.dumps(before)
    assert NUMBER not in json.dumps(after)


def test_what_is_hashed_is_what_is_asked() -> None:
    """Otherwise the ledger would answer a masked question with what was said of an unmasked one."""
    on, off = request_for(MASK_EVERYTHING), request_for(MaskingPolicy(frozenset({"NL"})))
    assert request_hash(on) != request_hash(off)
    assert request_hash(on) == request_hash(request_for(MASK_EVERYTHING, "Bel 06 98 76 54 32 graag."))
    interaction = Interaction.model_validate(
        document(1, turns=[{"speaker": "customer", "text": f"Bel {NUMBER} graag."}])
    )
    assert RequestPlanner(PROMPTS_READ, MODEL).plan_request(interaction, "nl").request_hash == request_hash(on)


@given(st.text(min_size=1, max_size=60), st.sampled_from(["NL", "PL"]))
def test_masking_leaves_the_cached_prefix_alone(text: str, country: str) -> None:
    """One byte of the prefix, and every call pays its whole prompt."""
    on, off = (
        request_for(each, f"a{text}", country=country)
        for each in (MASK_EVERYTHING, MaskingPolicy(frozenset({country})))
    )
    assert [on[part] for part in ("system", "toolConfig")] == [off[part] for part in ("system", "toolConfig")]


def test_a_text_without_personal_data_asks_the_same_as_before() -> None:
    """Only what has something to hide may cost a call when masking is switched on."""
    text = "Waar blijft mijn pakket van 20.11.2026? Het kostte € 49,99."
    assert request_for(MASK_EVERYTHING, text) == request_for(MaskingPolicy(frozenset({"NL"})), text)
