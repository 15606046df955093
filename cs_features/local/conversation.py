"""What Bedrock refuses in a conversation, whatever the model: order of roles, blocks, tool uses and their results.

Belongs here: the rules that a request's messages, system and tools keep among themselves. Does not belong here: what a
single model refuses (`bedrock.py`), and the shape of each member (`converse.py`).
"""

from collections.abc import Iterator
from itertools import pairwise

from cs_features.local.converse import Block, ConverseRequest, Message

MAX_CACHE_POINTS = 4


def find_fault(request: ConverseRequest) -> str | None:
    """Bedrock's complaint of the conversation, or None."""
    return next(_find_faults(request), None)


def _find_faults(request: ConverseRequest) -> Iterator[str]:
    yield from _find_faults_of_roles(request.messages)
    for place, block in _blocks_with_places(request):
        yield from _find_faults_of_block(place, block)
    yield from _find_faults_of_tools(request)
    yield from _find_faults_of_cache_points(request)


def _find_faults_of_roles(messages: list[Message]) -> Iterator[str]:
    roles = [message.role for message in messages]
    if not roles or roles[0] != "user":
        yield "A conversation must start with a user message."
    elif roles[-1] == "assistant":
        yield "This model does not support assistant message prefill; end with a user message."
    elif any(one == other for one, other in pairwise(roles)):
        yield "A conversation must alternate between user and assistant roles."


def _blocks_with_places(request: ConverseRequest) -> Iterator[tuple[str, Block]]:
    for number, block in enumerate(request.system):
        yield f"system.{number}", block
    for number, message in enumerate(request.messages):
        for position, block in enumerate(message.content):
            yield f"messages.{number}.content.{position}", block


def _find_faults_of_block(place: str, block: Block) -> Iterator[str]:
    if len(block.model_fields_set) != 1:
        yield f"The content block at {place} must have exactly one member."
    if block.text is not None and not block.text.strip():
        yield f"The text field in the content block at {place} is blank."
    if block.tool_use is not None and not isinstance(block.tool_use.input, dict):
        yield f"The format of the value at {place}.toolUse.input is invalid. Provide a json object for the field."
    if block.tool_result is not None and any(not part["text"].strip() for part in block.tool_result.content):
        yield f"The text field in the content block at {place}.toolResult is blank."
    if place.startswith("system") and (block.tool_use or block.tool_result):
        yield f"The content block at {place} may hold text and cache points only."


def _find_faults_of_tools(request: ConverseRequest) -> Iterator[str]:
    config = request.tool_config
    if config and (config.tool_choice.tool or config.tool_choice.any is not None) and not request.forced_tool:
        yield "The tool choice names a tool that is not in toolConfig.tools."
    turns = request.messages
    if config is None and any(list_uses(turn) or list_results(turn) for turn in turns):
        yield "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    for number, turn in enumerate(turns):
        if turn.role == "user" and list_uses(turn):
            yield f"The message at messages.{number} is the user's and may hold no toolUse."
        if turn.role == "assistant" and list_results(turn):
            yield f"The message at messages.{number} is the assistant's and may hold no toolResult."
        if len(set(list_uses(turn))) < len(list_uses(turn)):
            yield f"The toolUse blocks at messages.{number}.content contain duplicate Ids."
        asked = list_uses(turns[number - 1]) if number else []
        answered = list_results(turn)
        if len(answered) > len(asked):
            yield (
                f"The number of toolResult blocks at messages.{number}.content exceeds the number of toolUse blocks of "
                "previous turn."
            )
        if set(asked) != set(answered):
            yield f"Expected toolResult blocks at messages.{number}.content for the toolUse Ids of the previous turn."


def list_uses(turn: Message) -> list[str]:
    return [block.tool_use.tool_use_id for block in turn.content if block.tool_use]


def list_results(turn: Message) -> list[str]:
    return [block.tool_result.tool_use_id for block in turn.content if block.tool_result]


def _find_faults_of_cache_points(request: ConverseRequest) -> Iterator[str]:
    tools = request.tool_config.tools if request.tool_config else []
    points = [tool.cache_point for tool in tools if tool.cache_point]
    points += [block.cache_point for _, block in _blocks_with_places(request) if block.cache_point]
    if len(points) > MAX_CACHE_POINTS:
        yield f"A maximum of {MAX_CACHE_POINTS} cache points may be provided. Found {len(points)}."
    lifetimes = [point.ttl or "5m" for point in points]
    if any(pair == ("5m", "1h") for pair in pairwise(lifetimes)):
        yield "A cache point with ttl 1h must not come after one with ttl 5m."
