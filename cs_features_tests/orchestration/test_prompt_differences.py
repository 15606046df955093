"""What of a country's prompt is another since it was last seen, as its asset shows it."""

from dataclasses import replace

from cs_features.errors import AwsRefusal
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.orchestration.sensors.prompts import compare_texts, make_observations, show_difference
from cs_features.s3 import Bucket
from cs_features_tests.support.lab import PROMPTS
from cs_features_tests.support.memory_s3 import MemoryS3


def make_bucket() -> Bucket:
    return Bucket(MemoryS3(), "data", "CS_FEATURES_DATA_BUCKET")


def test_an_edit_is_shown_line_by_line_and_the_first_sight_is_none() -> None:
    """ "The Dutch prompt changed": and which of its forty lines was found in git, by who had git."""
    bucket, prompts = make_bucket(), load_prompt_folder(PROMPTS)
    assert compare_texts(prompts, ["NL"], bucket) == {}
    assert compare_texts(prompts, ["NL"], bucket) == {"NL": "the same words, and another model"}
    edited = replace(prompts, instructions=f"{prompts.instructions}\nNever guess.")
    difference = compare_texts(edited, ["NL"], bucket)["NL"]
    assert difference.startswith("```diff")
    assert "+Never guess." in difference.splitlines()


def test_the_observation_holds_version_and_difference() -> None:
    (observation,) = make_observations({"NL": "model/abc"}, {"NL": "```diff\n+x\n```"})
    assert observation.tags == {"dagster/data_version": "model/abc"}
    assert observation.metadata["version"].value == "model/abc"
    assert observation.metadata["difference"].value == "```diff\n+x\n```"


def test_a_bucket_that_cannot_be_read_hides_no_version() -> None:
    def refuse() -> None:
        raise AwsRefusal("no")

    bucket = Bucket(MemoryS3(refuse), "data", "CS_FEATURES_DATA_BUCKET")
    assert compare_texts(load_prompt_folder(PROMPTS), ["NL"], bucket)["NL"].startswith("unknown")


def test_a_long_difference_is_cut() -> None:
    shown = show_difference("", "\n".join(str(number) for number in range(1_000)))
    assert len(shown.splitlines()) <= 203
