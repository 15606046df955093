"""The storm's language model: it does as a file says, and its summaries carry the version of the text that they are of.

In the process of the local AWS. What happens in the storm is `storm.py`'s.
"""

import re
from dataclasses import replace
from enum import Enum
from pathlib import Path

from cs_features.local.bench.children import announce_and_wait
from cs_features.local.bench.storm_clock import follow_clock, path_of_clock
from cs_features.local.converse import ConverseRequest, Fault, Reply
from cs_features.local.provision import provision_account
from cs_features.local.scripted import ScriptedAnswerer
from cs_features.local.stack import LocalStack

VERSION = re.compile(r"version (\d+)")


class Mood(str, Enum):
    """What the model does with every call."""

    WELL = "well"
    REFUSES = "refuses"  # as Bedrock refuses a new or restricted account
    BABBLES = "babbles"  # answers that keep no rule
    DOWN = "down"


class MoodyAnswerer(ScriptedAnswerer):
    """The scripted model in the mood that a file says."""

    def __init__(self, mood: Path) -> None:
        super().__init__()
        self._mood = mood

    async def answer(self, request: ConverseRequest) -> Reply:
        mood = Mood(self._mood.read_text()) if self._mood.exists() else Mood.WELL
        if mood is Mood.REFUSES:
            raise Fault(400, "ValidationException", "Operation not allowed")
        if mood is Mood.DOWN:
            raise Fault(503, "ServiceUnavailableException", "Bedrock is unable to process your request.")
        reply = await super().answer(request)
        if mood is Mood.BABBLES:
            return replace(reply, tool_input={"summary": "", "sentiment": "green"})
        return write_version(reply, request.user_text)


def write_version(reply: Reply, text: str) -> Reply:
    """The reply with a summary that names the version of the text: a record of an old text is known by it."""
    found = VERSION.search(text)
    summary = f"The customer asks about an order that came late, version {found[1] if found else 0}."
    return replace(reply, tool_input={**reply.tool_input, "summary": summary})


def path_of_mood(state: Path) -> Path:
    return state.with_name("mood")


def serve_storm(state: str) -> None:
    """In a process of its own: the local AWS with the moody model."""
    follow_clock(path_of_clock(Path(state)))
    with LocalStack(Path(state), answerer=MoodyAnswerer(path_of_mood(Path(state)))) as stack:
        provision_account(stack.environment)
        announce_and_wait(stack, state)
