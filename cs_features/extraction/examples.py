"""The worked examples in the prompt files: an interaction in its envelope, and the answer as a JSON block.

Found and split here, with their lines; whether an answer keeps the schema is judged by who reads the file.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

_BLOCK = re.compile(
    r"^<interaction(?P<head>[^>\n]*)>\n(?P<text>.*?)\n</interaction>\n|^```json\n(?P<answer>.*?)\n```", re.M | re.S
)
_HEAD = re.compile(r' channel="(\w+)" language="([a-z]{2})" country="([A-Z]{2})"')


class Example(BaseModel):
    """One worked example. Lines count from 1, in its file."""

    model_config = ConfigDict(frozen=True)

    line: int
    answer_line: int
    channel: str
    language: str
    country: str
    text: str
    answer: dict[str, Any]


class ExampleError(BaseModel):
    """What is wrong with an example, and on which line."""

    model_config = ConfigDict(frozen=True)

    line: int
    problem: str


def find_prompt_examples(text: str, first_line: int = 1) -> Iterator[Example | ExampleError]:
    """The examples of a prompt file in their order; what is none although it looks like one is an error.

    `first_line` is the line of the file on which `text` begins.
    """
    open_block: re.Match[str] | None = None

    def line_of(match: re.Match[str], group: str | int = 0) -> int:
        return first_line + text[: match.start(group)].count("\n")

    for match in _BLOCK.finditer(text):
        if match["answer"] is None:
            if open_block is not None:
                yield ExampleError(line=line_of(open_block), problem="the example has no answer after it")
            open_block = match
            continue
        if open_block is None:
            yield ExampleError(line=line_of(match), problem="the answer has no <interaction> before it")
            continue
        yield _read_prompt_example(open_block, line_of(open_block), match["answer"], line_of(match, "answer"))
        open_block = None
    if open_block is not None:
        yield ExampleError(line=line_of(open_block), problem="the example has no answer after it")
    begun = {match.start() for match in _BLOCK.finditer(text)}
    for opening in re.finditer(r"^<interaction", text, re.M):
        if opening.start() not in begun:
            yield ExampleError(line=line_of(opening), problem="the example before or at this line is not closed")


def _read_prompt_example(block: re.Match[str], line: int, answer: str, answer_line: int) -> Example | ExampleError:
    head = _HEAD.fullmatch(block["head"])
    if head is None:
        return ExampleError(line=line, problem='an example begins with <interaction channel="" language="" country="">')
    try:
        value = json.loads(answer)
    except ValueError as error:
        return ExampleError(line=answer_line, problem=f"the answer is no JSON: {error}")
    if not isinstance(value, dict):
        return ExampleError(line=answer_line, problem="the answer is no JSON object")
    channel, language, country = head.groups()
    return Example(
        line=line,
        answer_line=answer_line,
        channel=channel,
        language=language,
        country=country,
        text=block["text"],
        answer=value,
    )
