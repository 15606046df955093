"""How many tokens a request will have, before Bedrock has counted them: what the quota reserves."""

import itertools

from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.prompting import ConverseRequest


class TokenEstimate:
    """How many tokens a request will have: a first estimate, then what the replies of this run teach."""

    def __init__(self, tokens_per_character: float) -> None:
        self.tokens_per_character = tokens_per_character

    def tokens_of(self, request: ConverseRequest) -> int:
        return round(_count_request_characters(request) * self.tokens_per_character)

    def learn(self, request: ConverseRequest, usage: TokenUsage) -> None:
        if usage.prompt_tokens:
            self.tokens_per_character += 0.2 * (
                usage.prompt_tokens / _count_request_characters(request) - self.tokens_per_character
            )


def _count_request_characters(request: ConverseRequest) -> int:
    turns = [message["content"] for message in request["messages"]]
    blocks = itertools.chain(request["system"], *turns)
    return sum(len(block["text"]) for block in blocks if "text" in block)
