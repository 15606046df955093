"""What each model can and cannot do: the one table of model quirks.

A new model is a new row here and nothing else. Facts that move (prices) come from
`genai-prices`, unless it has no exact rate; then the row carries the rate with its source.
No request is built and no call is made here.
"""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from cs_features.errors import UnknownModelError


class Rates(BaseModel):
    """List price in US dollars per million tokens, for models that genai-prices has no rate for."""

    model_config = ConfigDict(frozen=True)

    input: float
    output: float
    cache_read: float
    cache_write: float


@dataclass(frozen=True, kw_only=True)
class ModelCapabilities:
    """One Bedrock model or inference profile as this project may use it.

    `cache_minimum_tokens` is the shortest prefix that Bedrock caches; below it nothing is cached
    and no error is raised. `None` means the model refuses `cachePoint` altogether.
    `temperature` is sent when set; `None` where the model answers 400 to the parameter.
    `burndown` is how many quota tokens one output token costs.
    `input_characters` is how much of an interaction is sent; the middle of a longer one is left out.
    `timeout_seconds` is how long an answer may take before the call counts as failed.
    `tokens_per_character` is an estimate, for reservations and for quotes without any history.
    `rates` is `None` where genai-prices knows the exact rate of `model_id`.
    """

    model_id: str
    cache_minimum_tokens: int | None
    temperature: float | None
    burndown: int
    context_tokens: int
    input_characters: int = 24_000
    timeout_seconds: int = 60
    tokens_per_character: float = 0.25
    rates: Rates | None = None

    @property
    def cache_points(self) -> bool:
        return self.cache_minimum_tokens is not None


EMBEDDED_MODEL_ID = "local.smollm2-135m-instruct"
CUSTOM_MODEL_ID = "local.custom-model"

# Sources: AWS and Anthropic documentation as read on 2026-11-24; Haiku 5.5's burn-down is not
# published, so the highest rate seen among its siblings is assumed, which can only slow a run.
_CAPABILITIES = (
    ModelCapabilities(
        model_id="eu.anthropic.claude-haiku-5-5",
        cache_minimum_tokens=512,
        temperature=None,  # only the default passes; anything else is a 400
        burndown=10,
        tokens_per_character=0.325,  # its tokenizer makes some 30 % more of a text than its predecessor's
        context_tokens=200_000,
    ),
    ModelCapabilities(
        model_id="eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        cache_minimum_tokens=4_096,
        temperature=0.0,
        burndown=5,
        context_tokens=200_000,
    ),
    ModelCapabilities(
        model_id="eu.amazon.nova-micro-v1:0",
        cache_minimum_tokens=1_536,
        temperature=0.0,
        burndown=1,
        context_tokens=128_000,
        # EU profile, litellm 1.109.1's copy of the AWS price list. genai-prices answers with the
        # US rate. No cache-write price is published: the input rate is the upper bound.
        rates=Rates(input=0.046, output=0.184, cache_read=0.0115, cache_write=0.046),
    ),
    ModelCapabilities(
        model_id="eu.amazon.nova-lite-v1:0",
        cache_minimum_tokens=1_536,
        temperature=0.0,
        burndown=1,
        context_tokens=300_000,
        rates=Rates(input=0.078, output=0.312, cache_read=0.0195, cache_write=0.078),
    ),
    *(
        # SmolLM2-135M-Instruct inside the local stack, a stand-in that proves the plumbing; and the
        # GGUF file or server that takes its place. They run on this machine: nobody bills for them.
        ModelCapabilities(
            model_id=model_id,
            cache_minimum_tokens=1,
            temperature=0.0,
            burndown=1,
            context_tokens=8_192,
            input_characters=5_000,
            timeout_seconds=600,  # a busy laptop; a second try would only stand behind the first
            rates=Rates(input=0, output=0, cache_read=0, cache_write=0),
        )
        for model_id in (EMBEDDED_MODEL_ID, CUSTOM_MODEL_ID)
    ),
)

CAPABILITIES = {row.model_id: row for row in _CAPABILITIES}


def capabilities_of(model_id: str) -> ModelCapabilities:
    """The row of `model_id`.

    Raises:
        UnknownModelError: names the variable to set and the models that are known.
    """
    try:
        return CAPABILITIES[model_id]
    except KeyError:
        raise UnknownModelError(
            f"CS_FEATURES_MODEL_ID is {model_id!r}, which has no row in "
            f"cs_features/extraction/models.py. Known models: {', '.join(sorted(CAPABILITIES))}."
        ) from None
