"""From the checked prompts and one interaction to one Converse request.

Prefix order: tool, fixed instructions, cache point, country block, cache point, interaction. The
prefix must come out byte for byte the same for every call of a country, or nothing is cached.
No call is made here, and no setting decides anything that the request hash does not cover.
"""

import json
import re
from typing import Any

from cs_features.extraction.models import ModelCapabilities
from cs_features.extraction.prompts import TOOL_NAME, Prompts
from cs_features.hashing import content_hash
from cs_features.schemas import Interaction, Turn

# An answer is some 330 characters of JSON, 110 tokens or so. The quota reserves maxTokens up front, so a
# small value buys throughput; the room above is for long summaries and generous tokenizers.
MAX_OUTPUT_TOKENS = 450

ConverseRequest = dict[str, Any]


def render_interaction(interaction: Interaction, language: str, limit: int) -> tuple[str, bool]:
    """The user message, and whether turns were left out because it was longer than `limit` characters.

    Beyond the limit the first and the last turns are kept, because that is where the wish and the
    outcome stand, and a line says what is missing.
    """
    lines, truncated = _within(interaction.utterances, limit)
    text = "\n".join(lines)
    # A customer may type our tags. Data must not be able to close its own envelope.
    text = re.sub(r"<(?=\s*/?\s*interaction)", "‹", text, flags=re.IGNORECASE)
    head = f'<interaction channel="{interaction.channel}" language="{language}" country="{interaction.country}">'
    return f"{head}\n{text}\n</interaction>", truncated


def _within(turns: list[Turn], limit: int) -> tuple[list[str], bool]:
    # Indented, a line of a customer's text cannot pass for another speaker's turn.
    lines = ["\n  ".join(f"{turn.speaker}: {turn.text.strip()}".splitlines()) for turn in turns]
    if sum(map(len, lines)) <= limit:
        return lines, False
    head = _first_characters(lines, limit // 2)
    tail = [line[::-1] for line in _first_characters([line[::-1] for line in reversed(lines)], limit // 2)][::-1]
    return [*head, "system: [middle of the interaction left out, too long]", *tail], True


def _first_characters(lines: list[str], limit: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        if len(line) >= limit:
            return [*kept, line[:limit]]
        kept.append(line)
        limit -= len(line)
    return kept


def prefix_tokens(prompts: Prompts, country: str, model: ModelCapabilities) -> int:
    """Estimated tokens of what every call of a country shares, and the cache may keep."""
    shared = [prompts.instructions, prompts.countries[country].body, json.dumps(prompts.tool)]
    return round(sum(map(len, shared)) * model.tokens_per_character)


def build_request(
    prompts: Prompts, model: ModelCapabilities, interaction: Interaction, language: str
) -> tuple[ConverseRequest, bool]:
    """The Converse request of one interaction, and whether its text was truncated."""
    text, truncated = render_interaction(interaction, language, model.input_characters)
    cache_point = [{"cachePoint": {"type": "default"}}] if model.cache_points else []
    inference: dict[str, Any] = {"maxTokens": MAX_OUTPUT_TOKENS}
    if model.temperature is not None:
        inference["temperature"] = model.temperature
    request = {
        "modelId": model.model_id,
        "system": [
            {"text": prompts.instructions},
            *cache_point,
            {"text": prompts.countries[interaction.country].body},
            *cache_point,
        ],
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": inference,
        "toolConfig": {"tools": [prompts.tool], "toolChoice": {"tool": {"name": TOOL_NAME}}},
    }
    return request, truncated


def repair_request(request: ConverseRequest, tool_use: dict[str, Any], complaint: str) -> ConverseRequest:
    """The same request, continued with the invalid answer and what the validator says of it."""
    # An answer may come without any input, but may not be sent back without.
    said = {**tool_use, "input": tool_use.get("input") or {}}
    answer = {"role": "assistant", "content": [{"toolUse": said}]}
    verdict = {
        "toolUseId": tool_use["toolUseId"],
        "content": [{"text": f"Invalid: {complaint}. Record all seven features again, within the schema."}],
        "status": "error",
    }
    return {
        **request,
        "messages": [*request["messages"], answer, {"role": "user", "content": [{"toolResult": verdict}]}],
    }


def request_hash(request: ConverseRequest) -> str:
    """Equal for two requests exactly when the model is told the same in the same way."""
    return content_hash(request)
