"""Converse's shapes as the local Bedrock reads and writes them, and what an answerer gives back.

Belongs here: the request's and the reply's data, the kinds of failure. Does not belong here: what is
refused, throttled or counted (`bedrock.py`), and where an answer comes from (`engines.py`, `scripted.py`).
"""

import itertools
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Fault(Exception):
    """A call that ends without an answer. `status` None: the connection ends without one, too."""

    def __init__(self, status: int | None, error_type: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.error_type, self.message = status, error_type, message


class Refusal(Fault):
    """The request is at fault; sent again as it is, it is refused again."""

    def __init__(self, message: str, status: int = 400, error_type: str = "ValidationException") -> None:
        super().__init__(status, error_type, message)


class Throttle(Fault):
    """The quota is used up for the moment."""

    def __init__(self, what: str) -> None:
        message = f"Too many {what}, please wait before trying again."
        super().__init__(429, "ThrottlingException", message)


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class _CachePoint(_Wire):
    type: Literal["default"]
    ttl: Literal["5m", "1h"] | None = None


_ToolUseId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.:-]{1,64}$")]
_ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class _ToolUse(_Wire):
    tool_use_id: _ToolUseId
    name: _ToolName
    input: Any


class _ToolResult(_Wire):
    tool_use_id: _ToolUseId
    content: list[dict[Literal["text"], str]]
    status: Literal["success", "error"] | None = None


class Block(_Wire):
    """A union: Bedrock refuses a block with more or fewer members than one."""

    text: str | None = None
    cache_point: _CachePoint | None = None
    tool_use: _ToolUse | None = None
    tool_result: _ToolResult | None = None

    @property
    def words(self) -> str | None:
        """What a model reads of the block; None for a cache point."""
        if self.tool_use is not None:
            return json.dumps(self.tool_use.input, ensure_ascii=False)
        if self.tool_result is not None:
            return "\n".join(part["text"] for part in self.tool_result.content)
        return self.text


class Message(_Wire):
    """One turn of the conversation."""

    role: Literal["user", "assistant"]
    content: list[Block] = Field(min_length=1)

    @property
    def words(self) -> str:
        """What a model reads of the turn, its blocks joined by line ends."""
        return "\n".join(block.words for block in self.content if block.words)


class _ToolSpec(_Wire):
    name: _ToolName
    description: str | None = None
    input_schema: dict[Literal["json"], dict[str, Any]] = Field(min_length=1)
    strict: bool = False


class _Tool(_Wire):
    tool_spec: _ToolSpec | None = None
    cache_point: _CachePoint | None = None


class _ToolChoice(_Wire):
    auto: dict[str, Any] | None = None
    any: dict[str, Any] | None = None
    tool: dict[Literal["name"], str] | None = None


class _ToolConfig(_Wire):
    tools: list[_Tool] = Field(min_length=1)
    tool_choice: _ToolChoice = _ToolChoice()

    @property
    def specs(self) -> list[_ToolSpec]:
        return [tool.tool_spec for tool in self.tools if tool.tool_spec]


class _InferenceConfig(_Wire):
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop_sequences: list[str] = []


class ConverseRequest(_Wire):
    """The body of one Converse call, with the model id from its address."""

    model_id: str
    messages: list[Message] = []
    system: list[Block] = []
    tool_config: _ToolConfig | None = None
    inference_config: _InferenceConfig = _InferenceConfig()
    additional_model_request_fields: dict[str, Any] = {}
    request_metadata: dict[str, str] = {}

    @property
    def forced_tool(self) -> _ToolSpec | None:
        """The tool that the answer has to be given with; None where plain text is asked for."""
        if self.tool_config is None:
            return None
        specs, choice = self.tool_config.specs, self.tool_config.tool_choice
        if choice.any is not None:
            return next(iter(specs), None)
        return next((spec for spec in specs if choice.tool and spec.name == choice.tool["name"]), None)

    @property
    def system_text(self) -> str:
        return "\n\n".join(block.text for block in self.system if block.text)

    @property
    def user_text(self) -> str:
        """What the last message says, its blocks joined by line ends."""
        return self.messages[-1].words

    @cached_property
    def prompt(self) -> tuple[str | None, ...]:
        """The prompt in the order Bedrock caches it (tools, system, messages); None is a cache point."""
        tools = self.tool_config.tools if self.tool_config else []
        specs = [tool.tool_spec.model_dump_json() if tool.tool_spec else None for tool in tools]
        turns = itertools.chain.from_iterable(message.content for message in self.messages)
        return (*specs, *(block.text for block in self.system), *(block.words for block in turns))

    @property
    def estimated_tokens(self) -> int:
        return estimate_tokens("".join(text for text in self.prompt if text))


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A model's answer: the forced tool's input, or text, or neither (filtered); and its token counts.

    `input_tokens` excludes the tokens read from and written to the cache, as in Converse.
    """

    tool_input: Any = None
    text: str | None = None
    stop_reason: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class Answerer(Protocol):
    """Where answers come from. Called on the event loop: must not block it."""

    async def answer(self, request: ConverseRequest) -> Reply:
        """The answer to a request that `refusal` has let through. Raises `Fault` for a call that fails."""
        ...


def estimate_tokens(text: str) -> int:
    """Four UTF-8 bytes a token, rounded up: crude, but the same on every machine."""
    return -(-len(text.encode()) // 4)
