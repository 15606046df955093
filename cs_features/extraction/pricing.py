"""What one call costs at list price. Each call is priced by itself: rates step up with a call's size,
so the price of a sum of calls is not the sum of their prices. No budget is kept here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from cs_features.errors import UnknownPriceError
from cs_features.extraction.models import ModelCapabilities

SMALL_CALL = 60_000  # tokens; the steps known today begin at 100,000


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The four counts of one call, as Converse reports them: `input_tokens` excludes cached tokens."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            self.input_tokens + other.input_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.output_tokens + other.output_tokens,
        )

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return self.input_tokens, self.cache_read_tokens, self.cache_write_tokens, self.output_tokens

    @property
    def prompt_tokens(self) -> int:
        """All that was read: uncached, read from the cache and written to it."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


def find_price_list(model: ModelCapabilities) -> Callable[[TokenUsage], float]:
    """A function from the usage of one call to US dollars.

    Raises:
        UnknownPriceError: when neither the capability table nor genai-prices has the exact model.
    """
    if model.rates is not None:
        rates = model.rates
        return lambda usage: (
            (
                usage.input_tokens * rates.input
                + usage.cache_read_tokens * rates.cache_read
                + usage.cache_write_tokens * rates.cache_write
                + usage.output_tokens * rates.output
            )
            / 1_000_000
        )

    import genai_prices  # here: the usage of calls is counted where no price is asked for

    try:
        listed = genai_prices.calc_price(genai_prices.Usage(input_tokens=1), model.model_id, provider_id="aws")
        found: str | None = listed.model.id
    except LookupError:
        found = None
    # genai-prices falls back to a base model's rate; an EU profile costs more than its base model.
    if found not in (model.model_id, model.model_id.replace("eu.", "regional.", 1)):
        raise UnknownPriceError(
            f"No exact list price is known for {model.model_id} (closest: {found}). "
            "Give its row in cs_features/extraction/models.py `rates`, with their source."
        )
    listed_price = listed.model_price

    def price_exactly(usage: TokenUsage) -> float:
        # genai-prices counts cached tokens among the input tokens, Converse does not.
        tokens = genai_prices.Usage(
            input_tokens=usage.prompt_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
        )
        return float(listed_price.calc_price(tokens)["total_price"])

    # Decimal arithmetic for each call would cost as much as the limiter and the ledger together. Below the
    # first step a price is linear; a call of SMALL_CALL tokens of every kind shows that it is, up to there.
    kinds = [TokenUsage(1000), TokenUsage(0, 1000), TokenUsage(0, 0, 1000), TokenUsage(0, 0, 0, 1000)]
    per_token = [price_exactly(kind) / 1000 for kind in kinds]

    def price_linearly(usage: TokenUsage) -> float:
        return (
            usage.input_tokens * per_token[0]
            + usage.cache_read_tokens * per_token[1]
            + usage.cache_write_tokens * per_token[2]
            + usage.output_tokens * per_token[3]
        )

    third = SMALL_CALL // 3
    largest = TokenUsage(third, third, third, SMALL_CALL)
    if not math.isclose(price_linearly(largest), price_exactly(largest)):
        return price_exactly

    def price(usage: TokenUsage) -> float:
        is_small = max(usage.prompt_tokens, usage.output_tokens) <= SMALL_CALL
        return price_linearly(usage) if is_small else price_exactly(usage)

    return price
