"""The local endpoints' own figures, asked over HTTP.

`httpx.get` makes a client for each request, which reads all authorities of TLS first: twenty times the request's price.
"""

import os
from typing import Any

import httpx

# A connection is not kept: another test's endpoint may have the port next.
HTTP = httpx.Client(verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


def read_model_stats(url: str | None = None) -> dict[str, Any]:
    """What the model's endpoint, the session's if none is given, has counted since it started."""
    endpoint = url or os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"]
    found: dict[str, Any] = HTTP.get(f"{endpoint}/_local/stats").json()
    return found
