"""From the checked prompts and one interaction to one Converse request.

Prefix order: tool, fixed instructions, cache point, country block, cache point, interaction. The
prefix must come out byte for byte the same for every call of a country, or nothing is cached.
No call is made here, and no setting decides anything that the request hash does not cover.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cs_features.extraction.envelope import render_interaction
from cs_features.extraction.models import ModelCapabilities
from cs_features.extraction.prompts import TOOL_NAME, Prompts
from cs_features.hashing import canonical_json, content_hash
from cs_features.privacy.policy import MASK_EVERYTHING, MaskingPolicy
from cs_features.schemas import Interaction

# An answer is some 330 characters of JSON, 110 tokens or so. The quota reserves maxTokens up front, so a
# small value buys throughput; the room above is for long summaries and generous tokenizers.
MAX_OUTPUT_TOKENS = 450

CONTROL_TEXT = (
    '<interaction channel="chat" language="en" country="NL">\n'
    "customer: When do you open tomorrow?\nagent: At nine.\ncustomer: Thank you.\n</interaction>"
)

TOOL_USE_ID = r"[a-zA-Z0-9_.:-]{1,64}"  # as Converse takes them back

ConverseRequest = dict[str, Any]


def prefix_tokens(prompts: Prompts, country: str, model: ModelCapabilities) -> int:
    """Estimated tokens of what every call of a country shares, and the cache may keep."""
    shared = [prompts.instructions, prompts.countries[country].body, json.dumps(prompts.tool)]
    return round(sum(map(len, shared)) * model.tokens_per_character)


def build_converse_request(
    prompts: Prompts,
    model: ModelCapabilities,
    interaction: Interaction,
    language: str,
    masking: MaskingPolicy = MASK_EVERYTHING,
) -> tuple[ConverseRequest, bool]:
    """The Converse request of one interaction, masked as the policy says, and whether its text was truncated."""
    shared = _build_shared_prefix(prompts, model, interaction.country)
    text, truncated = render_interaction(interaction, language, model.input_characters, masking)
    return {**shared, "messages": _build_request_messages(text)}, truncated


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request that is known by its hash and built when it is asked: its text, and what all of its country share."""

    shared: ConverseRequest
    text: str
    request_hash: str
    truncated: bool

    def build(self) -> ConverseRequest:
        return {**self.shared, "messages": _build_request_messages(self.text)}


class PlannedRequests(Mapping[str, ConverseRequest]):
    """Distinct requests by their hash, each built when it is looked up: twenty thousand built are 14 MiB more."""

    def __init__(self, planned: Mapping[str, PlannedRequest]) -> None:
        self._planned = planned

    def __getitem__(self, request_hash: str) -> ConverseRequest:
        return self._planned[request_hash].build()

    def __iter__(self) -> Iterator[str]:
        return iter(self._planned)

    def __len__(self) -> int:
        return len(self._planned)


class RequestPlanner:
    """Requests for many interactions: what they share is built and serialized once a country."""

    def __init__(self, prompts: Prompts, model: ModelCapabilities, masking: MaskingPolicy = MASK_EVERYTHING) -> None:
        self._prompts = prompts
        self._model = model
        self._masking = masking
        self._shared: dict[str, tuple[ConverseRequest, bytes, bytes]] = {}

    def plan_request(self, interaction: Interaction, language: str) -> PlannedRequest:
        """What `build_converse_request` builds, with the `request_hash` of it."""
        shared, before, after = self._find_shared_prefix(interaction.country)
        text, truncated = render_interaction(interaction, language, self._model.input_characters, self._masking)
        key = hashlib.sha256(before + canonical_json(_build_request_messages(text)) + after).hexdigest()
        return PlannedRequest(shared, text, key, truncated)

    def _find_shared_prefix(self, country: str) -> tuple[ConverseRequest, bytes, bytes]:
        if country not in self._shared:
            shared = _build_shared_prefix(self._prompts, self._model, country)
            # The canonical JSON on both sides of an empty list of messages.
            before, after = canonical_json({**shared, "messages": []}).split(b'"messages":[]', 1)
            self._shared[country] = shared, before + b'"messages":', after
        return self._shared[country]


def _build_request_messages(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": text}]}]


def _build_shared_prefix(prompts: Prompts, model: ModelCapabilities, country: str) -> ConverseRequest:
    """All of a request but its messages."""
    cache_point = [{"cachePoint": {"type": "default"}}] if model.cache_points else []
    inference: dict[str, Any] = {"maxTokens": MAX_OUTPUT_TOKENS}
    if model.temperature is not None:
        inference["temperature"] = model.temperature
    return {
        "modelId": model.model_id,
        "system": [
            {"text": prompts.instructions},
            *cache_point,
            {"text": prompts.countries[country].body},
            *cache_point,
        ],
        "inferenceConfig": inference,
        "toolConfig": {"tools": [prompts.tool], "toolChoice": {"tool": {"name": TOOL_NAME}}},
    }


def build_control_request(request: ConverseRequest) -> ConverseRequest:
    """The same request about something that nobody refuses: an account that is served answers it."""
    return {**request, "messages": [{"role": "user", "content": [{"text": CONTROL_TEXT}]}]}


def build_repair_request(request: ConverseRequest, tool_use: dict[str, Any], complaint: str) -> ConverseRequest | None:
    """The same request, continued with the invalid answer and what the validator says of it.

    None where Bedrock would refuse the conversation: it takes back a use of our tool whose input is a JSON object.
    """
    identifier, said = str(tool_use.get("toolUseId", "")), tool_use.get("input")
    if tool_use.get("name") != TOOL_NAME or not re.fullmatch(TOOL_USE_ID, identifier) or not _is_sendable_reply(said):
        return None
    answer = {"toolUse": {"toolUseId": identifier, "name": TOOL_NAME, "input": said}}
    verdict = {
        "toolUseId": identifier,
        "content": [{"text": f"Invalid: {complaint}. Record all seven features again, within the schema."}],
        "status": "error",
    }
    turns = [{"role": "assistant", "content": [answer]}, {"role": "user", "content": [{"toolResult": verdict}]}]
    return {**request, "messages": [*request["messages"], *turns]}


def _is_sendable_reply(tool_input: Any) -> bool:
    """Whether it is an object that JSON and UTF-8 can carry: no NaN, no half of a surrogate pair."""
    if not isinstance(tool_input, dict):
        return False
    try:
        json.dumps(tool_input, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


def request_hash(request: ConverseRequest) -> str:
    """Equal for two requests exactly when the model is told the same in the same way."""
    return content_hash(request)
