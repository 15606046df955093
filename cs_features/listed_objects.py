"""The objects of a page of a listing, read from its XML for what is asked of them: key, ETag, size and time.

botocore walks through each element of each object by the service's model, which is most of the CPU of reading a
listing; and runs and sensors read listings of all that lies in a partition. A page that is anything else than usual is
left to botocore as it came, which says what is wrong with it. Not here: who lists what (`s3.py`).
"""

from typing import Any
from xml.etree import ElementTree

from cs_features.aws import parse_aws_timestamp

_EVENT = "before-parse.s3.ListObjectsV2"
_ROOT = "ListBucketResult"


def read_listings_at_once(client: Any) -> Any:
    """The S3 client, whose pages name of each object what the product reads."""
    client.meta.events.register(_EVENT, take_out_objects)
    return client


def take_out_objects(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Read the objects of a page, and leave the rest of the page to botocore."""
    try:
        page = ElementTree.fromstring(response_dict["body"])  # noqa: S314 (as botocore reads it)
        if not page.tag.endswith(_ROOT):
            return
        name = f"{page.tag.removesuffix(_ROOT)}Contents"
        objects = [_describe_object(element, page.tag) for element in page.iterfind(name)]
    except (ElementTree.ParseError, TypeError, ValueError):
        return
    if objects:
        page[:] = [element for element in page if element.tag != name]
        customized_response_dict["Contents"] = objects
        response_dict["body"] = ElementTree.tostring(page)


def _describe_object(element: ElementTree.Element, root: str) -> dict[str, Any]:
    """Raises TypeError or ValueError where one of the four is missing or is none."""
    namespace = root.removesuffix(_ROOT)
    key, etag, size, moment = (element.findtext(namespace + name) for name in ("Key", "ETag", "Size", "LastModified"))
    if not key or not etag or not moment:
        raise TypeError
    return {"Key": key, "ETag": etag, "Size": int(size or ""), "LastModified": parse_aws_timestamp(moment)}
