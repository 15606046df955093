"""`make lint`'s look at `prompts/`: every file is valid, and no worked example leaks into the golden corpus."""

import sys
from pathlib import Path

from cs_features.environments import settings
from cs_features.errors import PromptError
from cs_features.extraction.prompts import load_prompts
from cs_features.quality.golden import load_golden
from cs_features.quality.leaks import leaks


def main(folder: Path | None = None) -> int:
    folder = folder or settings().prompts_dir
    try:
        prompts = load_prompts(folder)
        items = load_golden(folder, prompts)
    except PromptError as error:
        print(error, file=sys.stderr)
        return 1
    problems = leaks(prompts, items, folder)
    print("\n".join(problems) or f"{len(prompts.every_example())} examples and {len(items)} golden items are valid")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
