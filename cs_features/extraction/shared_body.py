"""What all calls of a country share, serialized once: most of a request's bytes are the same prompt again and again.

By two public events of botocore: before it serializes a Converse request the shared parts are taken out of it, and
after that their bytes, in which it would have written them itself, are put into the body. What goes over the wire, its
signature included, is what botocore alone would send; a test compares them byte by byte.
"""

import json
import operator
from collections.abc import Mapping
from typing import Any

SHARED = ("system", "inferenceConfig", "toolConfig")
_CONTEXT = "cs_features.shared_body"  # where a call keeps the bytes from one event to the other


class SharedBody:
    """The shared parts of the request before, and their bytes: a run asks about one country."""

    def __init__(self) -> None:
        self._known: tuple[tuple[Any, ...], bytes] = ((None,) * len(SHARED), b"")

    def share_prompt_bytes(self, client: Any) -> None:
        """For each Converse call of `client`, from now on."""
        events = client.meta.events
        events.register("provide-client-params.bedrock-runtime.Converse", self._take_out)
        events.register("before-call.bedrock-runtime.Converse", self._put_in)

    def _take_out(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any] | None:
        if not set(SHARED) < params.keys():
            return None
        parts = tuple(params[name] for name in SHARED)
        known, body = self._known
        # The same objects, not equal ones: to compare a prompt costs as much as to write it.
        if not all(map(operator.is_, parts, known)):
            body = json.dumps(dict(zip(SHARED, parts, strict=True))).encode()
            self._known = parts, body
        context[_CONTEXT] = body
        return {name: value for name, value in params.items() if name not in SHARED}

    def _put_in(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        shared = context.get(_CONTEXT)
        if shared is not None:
            params["body"] = shared[:-1] + b", " + params["body"][1:]
