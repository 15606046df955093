"""`make lint`'s look at `prompts/`: every file is valid, and no worked example leaks into the golden corpus."""

import sys
from pathlib import Path

from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.extraction.prompts import check_country_files, load_prompt_folder
from cs_features.quality.golden import read_golden_file
from cs_features.quality.leaks import find_leaks


def main(folder: Path | None = None) -> int:
    try:
        folder = folder or settings().prompts_dir
        prompts = load_prompt_folder(folder)
    except CsFeaturesError as error:
        print(error, file=sys.stderr)
        return 1
    corpus = read_golden_file(folder, prompts)
    problems = check_country_files(prompts)
    problems += [problem.description for problem in corpus.problems]
    problems += find_leaks(prompts, corpus, folder)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    print(f"{len(prompts.list_examples())} examples and {len(corpus.items)} golden items are valid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
