"""For the engine's tests: a Bedrock endpoint whose answers are dictated, a clock that nobody waits for, requests.

The endpoint is the local stack's own, so real boto3 speaks to it; only where an answer comes from differs.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from cs_features.extraction.bedrock import converse, make_bedrock_client
from cs_features.extraction.brakes import Breaker, Budget
from cs_features.extraction.engine import Extractor
from cs_features.extraction.estimate import TokenEstimate
from cs_features.extraction.models import capabilities_of
from cs_features.extraction.pricing import find_price_list
from cs_features.extraction.prompting import build_converse_request, request_hash
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.extraction.quota import Limiter
from cs_features.local.bedrock import build_routes
from cs_features.local.converse import Answerer, ConverseRequest, Fault, Reply
from cs_features.schemas import Interaction
from cs_features_tests.support.documents import document
from cs_features_tests.support.http import read_model_stats
from cs_features_tests.support.lab import PROMPTS

PATIENCE = 120.0  # seconds that a test waits for another thread: a busy machine is slow and not wrong
DEFAULT = capabilities_of("eu.anthropic.claude-haiku-5-5")
PROMPTS_READ = load_prompt_folder(PROMPTS)
PRICE = find_price_list(DEFAULT)

GOOD: dict[str, Any] = {
    "summary": "The customer asks where a parcel is.",
    "sentiment": "neutral",
    "primary_topic": PROMPTS_READ.taxonomy.topics[0].id,
    "intent": PROMPTS_READ.taxonomy.intents[0].id,
    "resolution_status": "pending",
    "urgency_score": 0.25,
    "csat_indicator": 0.5,
}

TOO_MANY = Fault(429, "ThrottlingException", "Too many requests, please wait before trying again.")
DOWN = Fault(503, "ServiceUnavailableException", "Bedrock is unable to process your request.")
REFUSED = Fault(400, "ValidationException", "The model returned the following errors: no.")


def reply(tool_input: Any = GOOD, **changes: Any) -> Reply:
    """An answer that was billed 100 uncached, 2,000 read, 10 written and 50 output tokens."""
    counts = {"input_tokens": 100, "cache_read_tokens": 2_000, "cache_write_tokens": 10, "output_tokens": 50}
    return Reply(**{"tool_input": tool_input, "stop_reason": "tool_use", **counts, **changes})


_THREADS = ThreadPoolExecutor(64, thread_name_prefix="desk")  # asyncio's own are few on a small machine

Step = Fault | Reply | Callable[[], None]


class Desk:
    """An answerer that does as it is told, and notes what it was asked.

    `steps` maps a piece of an interaction's text to what its calls meet, one after the other; then, and
    for every other text, `otherwise`. A function is run (in a thread) before a good answer is given.
    """

    def __init__(self, steps: Mapping[str, Sequence[Step]] | None = None, otherwise: Step | None = None) -> None:
        self.steps = {marker: list(told) for marker, told in (steps or {}).items()}
        self.otherwise = otherwise or reply()
        self.asked: list[ConverseRequest] = []
        self.running = self.most_running = 0

    async def answer(self, request: ConverseRequest) -> Reply:
        self.asked.append(request)
        text = request.messages[0].content[0].text or ""
        told = next((steps for marker, steps in self.steps.items() if marker in text), [])
        step = told.pop(0) if told else self.otherwise
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if isinstance(step, Fault):
                raise step
            if isinstance(step, Reply):
                return step
            await asyncio.get_running_loop().run_in_executor(_THREADS, step)
            return reply()
        finally:
            self.running -= 1

    def calls_for(self, marker: str) -> int:
        return sum(marker in (request.messages[0].content[0].text or "") for request in self.asked)


@dataclass
class Endpoint:
    url: str

    def stats(self) -> Any:
        return read_model_stats(self.url)


@contextmanager
def serving(answerer: Answerer | None = None, *, instead: Sequence[Route] = (), **quota: float) -> Iterator[Endpoint]:
    """Bedrock on loopback, and the environment in which boto3 finds it. `instead`: routes in place of its own."""
    app = Starlette(routes=[*instead, *build_routes(answerer or Desk(), **quota)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
                patch.delenv(name, raising=False)
            patch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", url)
            patch.setenv("AWS_REGION", "eu-central-1")
            patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
            patch.setenv("AWS_ACCESS_KEY_ID", "tests")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            yield Endpoint(url)
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=5)


class Clock:
    """Time that passes only while somebody sleeps, so that no test waits."""

    def __init__(self, now: float = 10_000.0) -> None:
        self.now = now
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds
            self.slept.append(seconds)


def request_of(number: int | str = 1, **changes: Any) -> dict[str, Any]:
    """The product's own request for a document; `number` stands in its text."""
    return build_converse_request(PROMPTS_READ, DEFAULT, Interaction.model_validate(document(number, **changes)), "nl")[
        0
    ]


def requests_of(*numbers: int | str) -> dict[str, dict[str, Any]]:
    """Requests by their hash."""
    return {request_hash(request): request for request in map(request_of, numbers)}


def key_of(number: int | str) -> str:
    return request_hash(request_of(number))


def extractor_in(
    folder: Path,
    *,
    clock: Clock | None = None,
    max_cost_usd: float = 1.0,
    call: Callable[[dict[str, Any]], Any] | None = None,
    requests_per_minute: float | None = 60_000,
    tokens_per_minute: float | None = None,
) -> Extractor:
    """What a run asks with, on a clock that nobody waits for."""
    clock = clock or Clock()
    client = make_bedrock_client(16, 10) if call is None else None
    return Extractor(
        call=call or (lambda request: converse(client, request)),
        answer_model=PROMPTS_READ.answer_model,
        price=PRICE,
        limiter=Limiter(
            folder / "quota",
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            burndown=DEFAULT.burndown,
            clock=clock,
            sleep=clock.sleep,
        ),
        budget=Budget(max_cost_usd),
        estimate=TokenEstimate(DEFAULT.tokens_per_character),
        breaker=Breaker(clock),
        sleep=clock.sleep,
    )


def wait_until(true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """For what another thread or process does; fails when it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
