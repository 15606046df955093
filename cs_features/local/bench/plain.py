"""The plainest script that asks for a partition: boto3, a pool of threads, a loop. The measure for our own cost.

`python -m cs_features.local.bench.plain TEMPLATE KEY THREADS RESULT`: reads one landed file, asks for each line, writes
its CPU seconds. It imports nothing of ours, so that it pays for no import but its own.
"""

import json
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config


def main() -> None:
    template_file, key, threads, result = sys.argv[1:]
    template = json.loads(Path(template_file).read_text())
    body = boto3.client("s3").get_object(Bucket="cs-landing", Key=key)["Body"].read()
    client = boto3.client("bedrock-runtime", config=Config(max_pool_connections=int(threads)))

    def call_plainly(line: bytes) -> dict[str, Any]:
        turns = json.loads(line)["turns"]
        text = "\n".join(f"{turn['speaker']}: {turn['text']}" for turn in turns)
        answer: dict[str, Any] = client.converse(**template, messages=[{"role": "user", "content": [{"text": text}]}])
        return answer

    with ThreadPoolExecutor(int(threads)) as pool:
        for _ in pool.map(call_plainly, body.splitlines()):
            pass
    usage = resource.getrusage(resource.RUSAGE_SELF)
    Path(result).write_text(json.dumps(usage.ru_utime + usage.ru_stime))


if __name__ == "__main__":
    main()
