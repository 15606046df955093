"""The HTTP interface of the local Feature Store's runtime: where the parameters of a call are, and how it answers.

Not here: what an operation does (`feature_store.py`).
"""

import asyncio
import json

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cs_features.local.feature_store import Body, FeatureStore


def routes(store: FeatureStore) -> list[Route]:
    """The runtime's HTTP interface; beside AWS's own, under `/_local`, its counters and a flush on demand."""

    def route(path: str, method: str, operation: str) -> Route:
        async def endpoint(request: Request) -> Response:
            body = _body(request, await request.body())
            await asyncio.sleep(store.latency_s)
            status, answer = await run_in_threadpool(store.answer, operation, body)
            code = answer.pop("__type", None)
            return JSONResponse(answer, status, {"x-amzn-ErrorType": code} if code else None)

        return Route(path, endpoint, methods=[method])

    def stats(_: Request) -> Response:
        return JSONResponse(store.stats())

    def flush(_: Request) -> Response:
        store.flush()
        return JSONResponse(store.stats())

    record = "/FeatureGroup/{FeatureGroupName:path}"  # a path, because it may be an ARN
    return [
        route(record, "PUT", "PutRecord"),
        route(record, "GET", "GetRecord"),
        route(record, "DELETE", "DeleteRecord"),
        route("/BatchWriteRecord", "POST", "BatchWriteRecord"),
        route("/BatchGetRecord", "POST", "BatchGetRecord"),
        Route("/_local/feature-store/stats", stats, methods=["GET"]),
        Route("/_local/feature-store/flush", flush, methods=["POST"]),
    ]


def _body(request: Request, content: bytes) -> Body:
    """The parameters of a call from wherever they are: path, query, JSON."""
    query = request.query_params
    lists = {"FeatureNames": query.getlist("FeatureName"), "TargetStores": query.getlist("TargetStores")}
    return {
        **dict(query),
        **{name: values for name, values in lists.items() if values},
        **(json.loads(content) if content else {}),
        **request.path_params,
    }
