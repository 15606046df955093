"""S3 in memory that refuses: single objects, or every request."""

from typing import Any

from botocore.exceptions import ClientError

from cs_features_tests.support.memory_s3 import MemoryS3


def refuse_objects(s3: MemoryS3, *keys: str, code: str = "AccessDenied", status: int = 403) -> None:
    """Refuse every GET of `keys`, or each request to the bucket where none is named."""
    get_object, paginate = s3.get_object, s3.paginate

    def refusal(operation: str) -> ClientError:
        answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(answer, operation)  # type: ignore[arg-type]

    def refusing_get(**request: Any) -> Any:
        if not keys or request["Key"] in keys:
            raise refusal("GetObject")
        return get_object(**request)

    def refusing_list(**request: Any) -> Any:
        if not keys:
            raise refusal("ListObjectsV2")
        return paginate(**request)

    s3.get_object, s3.paginate = refusing_get, refusing_list  # type: ignore[method-assign]
