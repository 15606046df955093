"""Backfills of a Dagster that runs elsewhere: launched, followed, stopped and resumed through its UI's GraphQL.

A backfill launched here is the same as one that is launched in the UI: it is seen and stopped there too. A run a
partition, so that each partition's state and checks are its own. Not here: what it costs (`backfill_quote.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import urllib3

from cs_features.errors import DagsterRefusal, RequestError
from cs_features.planning.priorities import tag_backfill_runs

JOB = "process_interactions"
QUOTED_CALLS_TAG = "cs_features/quoted_calls"
TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
DONE = "SUCCESS"
# What a run's status means to who waits for it; of whatever else it has not begun.
STATES = {
    DONE: "done",
    "FAILURE": "failed",
    "CANCELED": "stopped",
    "CANCELING": "stopped",
    "STARTED": "running",
    "STARTING": "running",
}
STOPPED = frozenset({"CANCELED", "CANCELING", "FAILED", "FAILING"})
ENDED = frozenset({"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "CANCELED", "FAILED"})

WHERE = """
query Where {
  repositoriesOrError {
    __typename
    ... on RepositoryConnection { nodes { name location { name } jobs { name } } }
    ... on PythonError { message }
  }
}
"""
LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on UnauthorizedError { message }
    ... on PartitionKeysNotFoundError { message }
    ... on PartitionSetNotFoundError { message }
  }
}
"""
CANCEL = """
mutation Cancel($id: String!) {
  cancelPartitionBackfill(backfillId: $id) {
    __typename
    ... on CancelBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}
"""
FOLLOW = """
query Follow($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill {
      status timestamp isAssetBackfill partitionNames
      tags { key value }
      partitionStatuses { results { partitionName runStatus } }
    }
    ... on BackfillNotFoundError { message }
    ... on PythonError { message }
  }
}
"""


@dataclass(frozen=True)
class Backfill:
    """A backfill as it stands: what became of each partition, by key; None where no run was made yet."""

    id: str
    status: str
    began: float
    quoted_calls: int | None
    runs: Mapping[str, str | None]

    @property
    def is_backfill_over(self) -> bool:
        return self.status in ENDED

    @property
    def is_backfill_stopped(self) -> bool:
        return self.status in STOPPED

    def list_undone_keys(self) -> list[str]:
        return [key for key, status in self.runs.items() if status != DONE]

    def count_run_states(self) -> Counter[str]:
        """How many are done, failed, stopped, running and waiting."""
        return Counter(map(name_run_state, self.runs.values()))


def name_run_state(status: str | None) -> str:
    return STATES.get(status or "", "waiting")


class DagsterUi:
    """The UI at an address, as a program speaks to it."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def launch_partition_backfill(self, keys: Sequence[str], quoted_calls: int, title: str) -> str:
        """Launch a run a partition, in the order of `keys`, behind whatever else waits; returns the backfill's id."""
        tags = {**tag_backfill_runs(), QUOTED_CALLS_TAG: str(quoted_calls)}
        params = {
            "selector": {"partitionSetName": f"{JOB}_partition_set", "repositorySelector": self.find_job_repository()},
            "partitionNames": list(keys),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
            "title": title,
        }
        launched = self._ask_dagster_graphql(LAUNCH, "launchPartitionBackfill", "LaunchBackfillSuccess", params=params)
        return str(launched["backfillId"])

    def cancel_backfill(self, backfill_id: str) -> None:
        """Stop its runs, those in progress too: what they were answered is kept, and is not paid for again."""
        self.read_backfill_state(backfill_id)
        self._ask_dagster_graphql(CANCEL, "cancelPartitionBackfill", "CancelBackfillSuccess", id=backfill_id)

    def read_backfill_state(self, backfill_id: str) -> Backfill:
        """Raises:
        RequestError: there is none of that id, or it is one of assets that was launched elsewhere in the UI.
        """
        found = self._ask_dagster_graphql(FOLLOW, "partitionBackfillOrError", "PartitionBackfill", id=backfill_id)
        if found["isAssetBackfill"]:
            raise RequestError(f"{backfill_id} is a backfill of assets: see {self.url}/runs/b/{backfill_id}")
        statuses = {each["partitionName"]: each["runStatus"] for each in found["partitionStatuses"]["results"]}
        tags = {each["key"]: each["value"] for each in found["tags"]}
        quoted = tags.get(QUOTED_CALLS_TAG, "")
        return Backfill(
            id=backfill_id,
            status=found["status"],
            began=found["timestamp"],
            quoted_calls=int(quoted) if quoted.isdecimal() else None,
            runs={name: statuses.get(name) for name in found["partitionNames"] or statuses},
        )

    def find_job_repository(self) -> dict[str, str]:
        """The code location that has the job, as a selector."""
        found = self._ask_dagster_graphql(WHERE, "repositoriesOrError", "RepositoryConnection")
        for node in found["nodes"]:
            if any(job["name"] == JOB for job in node["jobs"]):
                return {"repositoryName": node["name"], "repositoryLocationName": node["location"]["name"]}
        raise DagsterRefusal(
            f"The Dagster at {self.url} has no job {JOB}: its code location does not load, or is another"
        )

    def _ask_dagster_graphql(self, query: str, field: str, wanted: str, **variables: Any) -> Any:
        """The answer's field, where it is of the type that is wanted.

        Raises:
            RequestError: what was asked about does not exist.
            DagsterRefusal: nobody answers, or the answer is a refusal.
        """
        answer = self._post_graphql_query(query, variables)
        found = (answer.get("data") or {}).get(field)
        if found is None:
            problems = "; ".join(each.get("message", "") for each in answer.get("errors", []))
            raise DagsterRefusal(f"The Dagster at {self.url} refused: {problems or 'no answer'}"[:500])
        if found["__typename"] == wanted:
            return found
        message = f"{found['__typename']}: {found.get('message', '')}"
        if found["__typename"].endswith("NotFoundError"):
            raise RequestError(f"The Dagster at {self.url} does not know it. {message}")
        raise DagsterRefusal(f"The Dagster at {self.url} refused. {message}")

    def _post_graphql_query(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        # A pool a question: the UI ends what was silent for five seconds, just when who follows a backfill asks again.
        try:
            with urllib3.PoolManager(timeout=TIMEOUT, retries=False) as pool:
                response = pool.request("POST", f"{self.url}/graphql", json={"query": query, "variables": variables})
            answer = response.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise DagsterRefusal(
                f"No Dagster UI answers at {self.url} ({type(error).__name__}): start it, or set CS_FEATURES_UI_URL"
            ) from error
        if not isinstance(answer, dict):
            raise DagsterRefusal(f"What answers at {self.url} is no Dagster UI: set CS_FEATURES_UI_URL")
        return answer
