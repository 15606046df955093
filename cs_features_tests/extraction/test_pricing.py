"""Dollars a call: against list prices worked out by hand, and never against the price list's own arithmetic."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import UnknownPriceError
from cs_features.extraction.models import CAPABILITIES, CUSTOM_MODEL_ID, EMBEDDED_MODEL_ID, capabilities_of
from cs_features.extraction.pricing import TokenUsage, find_price_list

# USD per million tokens, from the AWS price list as of 2026-11-24: input, cache read, cache write (5 min), output.
LIST = {
    "eu.anthropic.claude-haiku-5-5": (0.11, 0.011, 0.1375, 0.55),
    "eu.anthropic.claude-haiku-4-5-20251001-v1:0": (1.10, 0.11, 1.375, 5.50),
    "eu.amazon.nova-micro-v1:0": (0.046, 0.0115, 0.046, 0.184),
    "eu.amazon.nova-lite-v1:0": (0.078, 0.0195, 0.078, 0.312),
    EMBEDDED_MODEL_ID: (0.0, 0.0, 0.0, 0.0),
    CUSTOM_MODEL_ID: (0.0, 0.0, 0.0, 0.0),
}
MILLION = 1_000_000
counts = st.integers(0, 20_000)
usages = st.builds(TokenUsage, counts, counts, counts, counts)


def by_hand(model_id: str, usage: TokenUsage) -> float:
    tokens = (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens)
    return sum(rate * count for rate, count in zip(LIST[model_id], tokens, strict=True)) / MILLION


def test_every_model_of_the_table_has_its_list_price_here() -> None:
    """A row added without a price checked by hand is a bill that nobody has checked."""
    assert set(LIST) == set(CAPABILITIES)


@pytest.mark.parametrize("model_id", sorted(LIST))
@given(usage=usages)
def test_each_model_is_priced_at_its_list_price_with_cached_tokens_apart(model_id: str, usage: TokenUsage) -> None:
    """genai-prices counts cached tokens among the input and Converse does not: passed on unchanged, the cached ones
    were priced twice or the input came out negative. Haiku's EU profile costs 10 % more than its base model."""
    assert find_price_list(capabilities_of(model_id))(usage) == pytest.approx(by_hand(model_id, usage), abs=1e-12)


@pytest.mark.parametrize(
    ("field", "dollars"),
    [
        ("input_tokens", 0.0055),
        ("cache_read_tokens", 0.00055),
        ("cache_write_tokens", 0.006875),
        ("output_tokens", 0.0275),
    ],
)
def test_fifty_thousand_tokens_of_one_kind_on_the_default_model(field: str, dollars: float) -> None:
    """Added up, the four kinds hid a 12.5-fold difference (IDP)."""
    priced = find_price_list(capabilities_of("eu.anthropic.claude-haiku-5-5"))
    usage = replace(TokenUsage(), **{field: 50_000})
    assert priced(usage) == pytest.approx(dollars)


@pytest.mark.parametrize(
    "model_id",
    ["eu.amazon.nova-pro-v1:0", "eu.nobody.heard-of-it-v1:0", "local.other"],
)
def test_a_model_without_an_exact_price_is_refused_with_what_to_do(model_id: str) -> None:
    """A substring match priced a model at its base model's rate (IDP): EU Nova costs 30 to 44 % more than US Nova."""
    model = replace(capabilities_of("eu.amazon.nova-micro-v1:0"), model_id=model_id, rates=None)
    with pytest.raises(UnknownPriceError, match=r"models\.py `rates`") as caught:
        find_price_list(model)
    assert model_id in str(caught.value)


@pytest.mark.parametrize("model_id", ["eu.amazon.nova-micro-v1:0", "eu.amazon.nova-lite-v1:0"])
def test_a_nova_row_needs_the_rates_it_carries(model_id: str) -> None:
    """Once genai-prices knows the EU rate exactly, the row's own copy can go: this says when."""
    with pytest.raises(UnknownPriceError):
        find_price_list(replace(capabilities_of(model_id), rates=None))


def test_the_step_above_a_hundred_thousand_tokens_is_the_calls_own() -> None:
    """Priced as one sum, a day of small calls cost five times its bill."""
    priced = find_price_list(capabilities_of("eu.anthropic.claude-haiku-5-5"))
    half, whole = TokenUsage(input_tokens=60_000), TokenUsage(input_tokens=120_000)
    assert half + half == whole
    assert priced(half) == pytest.approx(60_000 * 0.11 / MILLION)
    assert priced(whole) > 2 * priced(half) * 1.5


@given(usages, usages)
def test_usages_add_up_count_by_count(one: TokenUsage, other: TokenUsage) -> None:
    """Two counts swapped in a sum move a bill between 0.011 and 0.55 dollars."""
    total = one + other
    for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"):
        assert getattr(total, name) == getattr(one, name) + getattr(other, name)
    assert total.prompt_tokens == total.input_tokens + total.cache_read_tokens + total.cache_write_tokens
