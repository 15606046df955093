"""Every moment at which a publisher may die or meet another, in memory: afterwards both stores hold what they should.

Each history is lived once for every call to AWS that it makes. What must hold at rest is `World.check_served`. Not
here: histories that hypothesis chooses (`landing/test_corrections.py`), and real boto3 (`test_publisher.py`).
"""

import itertools
from collections.abc import Callable

import pytest

from cs_features_tests.support.documents import id_of
from cs_features_tests.support.world import PARTITIONS, World

pytestmark = pytest.mark.heavy

NL_YESTERDAY, NL, BE = PARTITIONS
MINUTES = pytest.mark.parametrize("minute", [1, 2], ids=["an earlier event time", "the same event time"])


def live_at_every_call(live: Callable[[World, int], bool]) -> None:
    """Call `live` with a new world and 1, 2, ... until it says that so many calls were not made."""
    for at in itertools.count(1):
        world = World()
        happened = live(world, at)
        world.rest()
        world.let_deletions_through()
        assert world.holds(), f"at call {at}"
        if not happened:
            assert at > 4, "there was nothing to interrupt"
            return


def publish_two(world: World) -> None:
    world.landed[NL] |= {(1, 0), (2, 0)}
    world.rest()


def test_a_publisher_killed_while_it_replaces_records_loses_none_when_the_model_is_down_afterwards() -> None:
    """Killed between the deletion of a record and its successor, with a model that answered nothing at the second
    run: the record could not be written again, because nobody had its features any more."""

    def live(world: World, at: int) -> bool:
        publish_two(world)
        world.ask_again(prompt=1)
        world.advance(NL)
        killed = world.interrupted(NL, at, None)
        world.failing = {id_of(1), id_of(2)}
        world.rest()
        assert world.served.keys() == {id_of(1), id_of(2)}
        return killed

    live_at_every_call(live)


def test_a_withdrawal_that_was_begun_is_finished_in_both_stores_even_if_the_document_comes_back() -> None:
    """Gone online and still trained on: the document was restored, and its record counted as kept."""

    def live(world: World, at: int) -> bool:
        publish_two(world)
        world.landed[NL].remove((1, 0))
        world.advance(NL)
        killed = world.interrupted(NL, at, None)
        world.landed[NL].add((1, 0))
        world.failing = {id_of(1)}
        return killed

    live_at_every_call(live)


def test_a_correction_whose_extraction_fails_takes_the_features_of_the_old_text_with_it() -> None:
    """Fault 6: the old answer stayed in the store, under a document that said something else by then."""

    def live(world: World, at: int) -> bool:
        publish_two(world)
        world.landed[NL].add((1, 2))
        world.failing = {id_of(1), id_of(2)}
        world.advance(NL)
        killed = world.interrupted(NL, at, None)
        world.rest()
        assert world.served.keys() == {id_of(2)}
        return killed

    live_at_every_call(live)


def test_a_correction_that_was_half_written_is_not_kept_under_the_next_correction() -> None:
    """Killed while it wrote the second text, and the third was never answered: the second was finished all the same."""

    def live(world: World, at: int) -> bool:
        publish_two(world)
        world.landed[NL].add((1, 1))
        world.advance(NL)
        killed = world.interrupted(NL, at, None)
        world.landed[NL].add((1, 2))
        world.failing = {id_of(1)}
        world.rest()
        assert world.served.keys() == {id_of(2)}
        return killed

    live_at_every_call(live)


@MINUTES
@pytest.mark.parametrize("meets_raw", [False, True], ids=["both publish", "the correction's run begins meanwhile"])
def test_a_publisher_may_meet_that_of_a_correction_elsewhere_between_any_two_calls(
    minute: int, meets_raw: bool
) -> None:
    """The one deleted a record that was the other's by then, and the manifest of the other said that it was written."""

    def live(world: World, at: int) -> bool:
        publish_two(world)
        world.ask_again(prompt=1)
        world.advance(NL)
        world.landed[BE].add((1, minute))
        if not meets_raw:
            world.advance(BE)
        return world.interrupted(NL, at, BE)

    live_at_every_call(live)


@MINUTES
def test_an_owner_that_publishes_while_the_one_before_withdraws_is_written_again(minute: int) -> None:
    """Fault 25: of two hosts whose clocks differed, one deleted what the other had just written, and told it so with
    a time that the other took for an earlier one."""

    def live(world: World, at: int) -> bool:
        publish_two(world)
        world.landed[BE].add((1, minute))
        world.advance(BE)
        world.advance(NL)
        return world.interrupted(NL, at, BE)

    live_at_every_call(live)


@MINUTES
def test_an_owner_that_was_hit_and_has_no_features_any_more_is_mended_from_what_is_still_online(minute: int) -> None:
    """Online by luck, and a tombstone offline: the model was down when the owner was asked to write it again."""

    def live(world: World, at: int) -> bool:
        publish_two(world)
        world.landed[BE].add((1, minute))
        world.advance(BE)
        world.advance(NL)
        met = world.interrupted(NL, at, BE)
        world.failing = {id_of(1)}
        return met

    live_at_every_call(live)
