"""What a run may take from its own memory, and what it must ask for again."""

from cs_features.orchestration.run_memory import FRESH_SECONDS, RunMemory


class Asked:
    """Answers with how often it was asked, at the time that the test says."""

    def __init__(self) -> None:
        self.times, self.now = 0, 0.0

    def __call__(self) -> int:
        self.times += 1
        return self.times


def test_a_run_asks_once_and_another_run_asks_again() -> None:
    """Whoever was erased between two runs is known to the second."""
    asked = Asked()
    memory = RunMemory(lambda: asked.now)
    assert [memory.recall("one", "who", asked) for _ in range(3)] == [1, 1, 1]
    assert memory.recall("two", "who", asked) == 2
    assert memory.recall("one", "who", asked) == 3, "it is the latest run's alone"


def test_a_run_that_takes_long_asks_again() -> None:
    """A step may have waited for hours for its place in the pool."""
    asked = Asked()
    memory = RunMemory(lambda: asked.now)
    memory.recall("one", "who", asked)
    asked.now = FRESH_SECONDS + 1
    assert memory.recall("one", "who", asked) == 2


def test_answers_of_different_names_are_kept_apart() -> None:
    asked = Asked()
    memory = RunMemory(lambda: asked.now)
    assert (memory.recall("one", "who", asked), memory.recall("one", "what", asked)) == (1, 2)
