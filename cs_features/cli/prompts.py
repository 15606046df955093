"""`python -m cs_features.cli.prompts`: prompts in production, without a rebuild. push, use, pull, history.

push DIR keeps a folder of prompts in the data bucket and prints its version, which `preview` takes as a candidate.
use VERSION puts one into use within a minute, for all runs that begin then; an older one is put back in the same way.
Who did it, as AWS knows the credentials, is kept with the reason. A new country needs a deployment: the partitions are
made of the image's country files.
"""

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path

from cs_features import aws
from cs_features.cli.failures import report_command_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError, PromptError, RequestError
from cs_features.extraction.prompt_versions import PromptVersions, unpack_prompt_archive
from cs_features.extraction.prompts import check_country_files, load_prompt_folder
from cs_features.partitions import list_countries
from cs_features.services import build_services_from


def main(arguments: list[str] | None = None) -> int:
    options = parse_options(arguments)
    try:
        chosen = settings()
        versions = build_services_from(chosen).data.prompt_versions()
        if options.command == "push":
            print(push_checked_folder(versions, options.folder))
        elif options.command == "use":
            use_version(versions, options.version, options.why, chosen.prompts_dir)
        elif options.command == "pull":
            pull_prompt_version(versions, options.version, options.folder)
        else:
            print_version_history(versions)
    except CsFeaturesError as error:
        return report_command_failure(error)
    return 0


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cs_features.cli.prompts", description=(__doc__ or "").splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    push = commands.add_parser("push", help="keep a folder of prompts, print its version")
    push.add_argument("folder", type=Path)
    use = commands.add_parser("use", help="put a version into use")
    use.add_argument("version")
    use.add_argument("--why", required=True, help="kept with who did it")
    pull = commands.add_parser("pull", help="a version as a folder, to edit or to look at")
    pull.add_argument("version")
    pull.add_argument("folder", type=Path)
    commands.add_parser("history", help="who put which version into use, when and why")
    return parser.parse_args(arguments)


def push_checked_folder(versions: PromptVersions, folder: Path) -> str:
    """Raises PromptError with every problem of every file: what is pushed can be used."""
    problems = check_country_files(load_prompt_folder(folder))
    if problems:
        raise PromptError("\n".join(problems))
    return versions.push_prompt_folder(folder)


def pull_prompt_version(versions: PromptVersions, version: str, folder: Path) -> None:
    """Raises RequestError where something lies already: of two versions in one folder somebody pushes a third."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise RequestError(f"{folder} is there already: name a folder that is new or empty")
    unpack_prompt_archive(versions.read_prompt_archive(version), folder)


def use_version(versions: PromptVersions, version: str, why: str, of_the_image: Path) -> None:
    folder = versions.fetch_prompt_version(version)
    differing = set(list_countries(folder)) ^ set(list_countries(of_the_image))
    if differing:
        raise RequestError(
            f"Version {version} and the image differ in countries ({', '.join(sorted(differing))}): partitions are "
            "made of the image's country files, so that a country comes and goes with a deployment"
        )
    with aws.explained("Credentials", "AWS_PROFILE"):
        caller = aws.client("sts").get_caller_identity()["Arn"]
    change = versions.use_version(version, caller, why, datetime.now(timezone.utc))
    print(f"{change.version} is in use instead of {change.before or 'the prompts of the image'}")


def print_version_history(versions: PromptVersions) -> None:
    for change in versions.list_changes():
        print(f"{change.changed_at}  {change.version}  {change.changed_by}  {change.why}")


if __name__ == "__main__":
    sys.exit(main())
