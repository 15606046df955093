"""A TEST DOUBLE of the language model: answers made up by hashing. Never used by the demo.

It fills the forced tool's JSON schema with values that a hash of the text picks, so an answer is valid, the
same every time, and says NOTHING about the text. Faults, malformed answers, latency and the prompt cache's
bookkeeping are scripted, so that tests and benchmarks see the service at its worst and can repeat it.

Belongs here: what a scripted model answers and when it fails. The protocol around it is `bedrock.py`'s.
"""

import asyncio
import hashlib
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cs_features.extraction.models import capabilities_of
from cs_features.local.converse import ConverseRequest, Fault, Refusal, Reply, estimate_tokens

CACHE_TTL_S = 300.0

_FAULTS = {
    "500": (500, "InternalServerException", "The system encountered an unexpected error. Try again."),
    "503": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    "408": (408, "ModelTimeoutException", "Model has timed out in processing the request. Try again."),
    "424": (424, "ModelErrorException", "The model returned an error while processing the request."),
    "429": (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    "drop": (None, "", ""),
    "hang": (None, "", ""),  # a drop after `hang_s`
}

MALFORMED_KINDS = (
    "outside_enum",
    "missing_field",
    "out_of_range",
    "too_long",
    "not_an_object",
    "empty",
    "text_instead_of_tool",
)

# Each of them is told as English alone, in whatever order they come.
_WORDS = ("customer", "asks", "about", "another", "request", "that", "this", "again", "wants", "the", "refund")


@dataclass(frozen=True, kw_only=True)
class Script:
    """How the scripted model behaves. Rates are shares of calls in [0, 1]; times are in seconds.

    Every call's fate is one draw from a hash of (seed, user text, attempt number of that text): a repeat of
    the run repeats it, and a retry draws anew. `labels` maps the SHA-256 hex digest of a user text
    (`ConverseRequest.user_text`) to the tool input to answer with.
    """

    seed: int = 0
    latency_mean_s: float = 0.0
    latency_p95_s: float = 0.0
    faults: Mapping[str, float] = field(default_factory=dict)
    hang_s: float = 30.0
    malformed_rate: float = 0.0
    malformed_kinds: tuple[str, ...] = MALFORMED_KINDS
    refusal_rate: float = 0.0
    max_tokens_rate: float = 0.0
    poison: str | None = None
    answer_bytes: int = 0
    labels: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := set(self.faults) - set(_FAULTS):
            raise ValueError(f"unknown faults {sorted(unknown)}; known: {sorted(_FAULTS)}")
        if unknown := set(self.malformed_kinds) - set(MALFORMED_KINDS):
            raise ValueError(f"unknown malformed kinds {sorted(unknown)}; known: {MALFORMED_KINDS}")
        if sum(rate for _, rate in self.fates) > 1:
            raise ValueError("the rates of faults, refusals, cut and malformed answers add up to more than 1")

    @property
    def fates(self) -> tuple[tuple[str, float], ...]:
        """(what a call may meet, its rate), apart from a good answer."""
        return (
            *self.faults.items(),
            ("refusal", self.refusal_rate),
            ("max_tokens", self.max_tokens_rate),
            ("malformed", self.malformed_rate),
        )

    @classmethod
    def from_json(cls, text: str) -> "Script":
        """The script in a JSON object of this class's fields; those left out keep their defaults.

        Raises:
            ValueError: a field, fault or malformed kind that does not exist.
        """
        fields = json.loads(text)
        if unknown := set(fields) - set(cls.__dataclass_fields__):
            raise ValueError(f"unknown fields {sorted(unknown)}; known: {sorted(cls.__dataclass_fields__)}")
        if "malformed_kinds" in fields:
            fields["malformed_kinds"] = tuple(fields["malformed_kinds"])
        return cls(**fields)


class ScriptedAnswerer:
    """Answers by `script`. Keeps the attempts of each text and the prompt cache, both in memory.

    `clock`: seconds, for the cache's time to live.
    """

    def __init__(self, script: Script | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.script = script or Script()
        self._clock = clock
        self._attempts: Counter[str] = Counter()
        self._cached_until: dict[tuple[str, str], float] = {}

    def forget_cache(self) -> None:
        """The prompt cache is cold, as it is in the morning."""
        self._cached_until.clear()

    async def answer(self, request: ConverseRequest) -> Reply:
        script, text = self.script, request.user_text
        if script.poison and script.poison in text:
            raise Refusal("The model returned the following errors: the input cannot be processed.")

        digest = hash_text(text)
        self._attempts[digest] += 1
        by_attempt = random.Random(f"{script.seed}/{digest}/{self._attempts[digest]}")
        fate = _draw_fate(script, by_attempt.random())
        delay = _draw_latency(script, by_attempt)

        prefixes, now = _find_cacheable_prefixes(request), self._clock()
        cacheable = max(prefixes.values(), default=0)
        readable = max((n for key, n in prefixes.items() if self._cached_until.get(key, 0) > now), default=0)
        await asyncio.sleep(script.hang_s if fate == "hang" else delay)
        if fate in _FAULTS:
            raise Fault(*_FAULTS[fate])

        answer = _make_answer(script, request, fate, by_attempt)
        # Only now: what a call writes can be read once its response has begun. A hit starts the time anew.
        for key in prefixes:
            self._cached_until[key] = self._clock() + CACHE_TTL_S
        output = json.dumps(answer.get("tool_input", answer.get("text", "")), ensure_ascii=False)
        return Reply(
            **answer,
            input_tokens=request.estimated_tokens - cacheable,
            output_tokens=estimate_tokens(output),
            cache_read_tokens=readable,
            cache_write_tokens=cacheable - readable,
        )


def hash_text(text: str) -> str:
    """The key of a text in `Script.labels`: the hex digest of its UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def _find_cacheable_prefixes(request: ConverseRequest) -> dict[tuple[str, str], int]:
    """Tokens of each prefix that ends at a cache point and reaches the minimum, by (model, digest)."""
    minimum = capabilities_of(request.model_id).cache_minimum_tokens
    prefixes = {}
    for position, text in enumerate(request.prompt):
        prefix = "".join(text for text in request.prompt[:position] if text)
        if text is None and minimum is not None and (tokens := estimate_tokens(prefix)) >= minimum:
            prefixes[request.model_id, hash_text(prefix)] = tokens
    return prefixes


def _draw_fate(script: Script, draw: float) -> str:
    for fate, rate in script.fates:
        draw -= rate
        if draw < 0:
            return fate
    return "answer"


def _draw_latency(script: Script, rng: random.Random) -> float:
    """Seconds, lognormal with the script's mean and 95th percentile; constant if the latter is not above."""
    if script.latency_p95_s <= script.latency_mean_s:
        return script.latency_mean_s
    # mean = exp(mu + s²/2) and p95 = exp(mu + z·s); the smaller root for s is the one with a short tail.
    z, ratio = 1.645, math.log(script.latency_p95_s / script.latency_mean_s)
    sigma = z - math.sqrt(max(0.0, z * z - 2 * ratio))
    return rng.lognormvariate(math.log(script.latency_mean_s) - sigma * sigma / 2, sigma)


def _make_answer(script: Script, request: ConverseRequest, fate: str, by_attempt: random.Random) -> dict[str, Any]:
    """The reply's content and stop reason, as keyword arguments of `Reply`."""
    digest = hash_text(request.user_text)
    by_text = random.Random(f"{script.seed}/{digest}")
    if fate == "refusal":
        return {"stop_reason": by_attempt.choice(("content_filtered", "refusal"))}
    if request.forced_tool is None:
        return {"text": make_words(by_text, 1, 120), "stop_reason": fate if fate == "max_tokens" else "end_turn"}

    schema = request.forced_tool.input_schema["json"]
    value = script.labels[digest] if digest in script.labels else make_value(schema, by_text)
    if script.answer_bytes and isinstance(value, dict):
        longest = max(value, key=lambda name: len(value[name]) if isinstance(value[name], str) else -1)
        value = {**value, longest: make_words(by_text, script.answer_bytes, script.answer_bytes)}
    if fate == "max_tokens":
        return {"tool_input": dict(list(value.items())[: len(value) // 2]), "stop_reason": fate}
    if fate == "malformed":
        kind = by_attempt.choice(script.malformed_kinds)
        if kind == "text_instead_of_tool":
            return {"text": json.dumps(value), "stop_reason": "end_turn"}
        value = break_answer(value, schema, kind)
    return {"tool_input": value, "stop_reason": "tool_use"}


def break_answer(value: dict[str, Any], schema: dict[str, Any], kind: str) -> Any:
    """`value` broken as `kind` says, at the first property where that is possible, or else a field short."""
    if kind == "not_an_object":
        return json.dumps(value)
    if kind == "empty":
        return {}
    for name, raw in schema.get("properties", {}).items():
        rule = resolve_schema(raw, schema)
        if kind == "outside_enum" and "enum" in rule:
            return {**value, name: "none_of_these"}
        if kind == "out_of_range" and "maximum" in rule:
            return {**value, name: rule["maximum"] + 1}
        if kind == "too_long" and "maxLength" in rule:
            return {**value, name: "x" * (rule["maxLength"] + 1)}
    return dict(list(value.items())[:-1])


def resolve_schema(rule: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The definition that a `$ref` names, the first alternative of a union that is not null, or `rule`."""
    if "$ref" in rule:
        name = rule["$ref"].rsplit("/", 1)[-1]
        return resolve_schema(schema.get("$defs", schema.get("definitions", {}))[name], schema)
    for union in ("anyOf", "oneOf", "allOf"):
        if union in rule:
            first = next((one for one in rule[union] if one.get("type") != "null"), rule[union][0])
            return resolve_schema(first, schema)
    return rule


def make_value(rule: dict[str, Any], rng: random.Random, schema: dict[str, Any] | None = None) -> Any:
    """A value that is valid under the JSON schema `rule`. `schema`: the root, for `$ref`; default `rule`."""
    schema = rule if schema is None else schema
    rule = resolve_schema(rule, schema)
    if "const" in rule:
        return rule["const"]
    if "enum" in rule:
        return rng.choice(rule["enum"])
    kind = rule.get("type", "object" if "properties" in rule else "string")
    if isinstance(kind, list):
        kind = next(name for name in kind if name != "null")
    if kind == "object":
        return {name: make_value(each, rng, schema) for name, each in rule.get("properties", {}).items()}
    if kind == "array":
        count = max(rule.get("minItems", 0), min(1, rule.get("maxItems", 1)))
        return [make_value(rule.get("items", {}), rng, schema) for _ in range(count)]
    if kind == "string":
        least = rule.get("minLength", 1)
        return make_words(rng, least, max(least, min(rule.get("maxLength", 120), 120)))
    if kind in ("number", "integer"):
        low, high = rule.get("minimum", 0), rule.get("maximum", 1 if kind == "number" else 100)
        return rng.randint(math.ceil(low), math.floor(high)) if kind == "integer" else _draw_number(rng, low, high)
    return rng.random() < 0.5 if kind == "boolean" else None


def _draw_number(rng: random.Random, low: float, high: float) -> float:
    return float(min(high, max(low, round(rng.uniform(low, high), 2))))


def make_words(rng: random.Random, least: int, most: int) -> str:
    """Plain words, of a length in [least, most] characters."""
    length, text = rng.randint(least, most), ""
    while len(text) < length:
        text += rng.choice(_WORDS) + " "
    return text[:length].rstrip().ljust(least, ".")
