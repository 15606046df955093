"""Where our code meets Dagster, which keeps every exception with its words and its causes, and shows them.

Words of libraries quote cells, documents and AWS's answers. So what leaves a step, a check or a sensor is one of our
own errors, without what it was raised from; of any other error the class and the places in code, and no word. Not
here: which failures may pass (`failures.py`).
"""

import functools
import inspect
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from cs_features.errors import CsFeaturesError

Function = TypeVar("Function", bound=Callable[..., Any])

GUARDED = "is_guarded"
_ROOT = Path(__file__).resolve().parents[2]
_SAFE = (dg.Failure, dg.RetryRequested)
MAX_PLACES = 4


class UnexpectedError(Exception):
    """An error that is none of ours. Its class is named after the other's, its message says where it was raised."""


def guard_boundary(function: Function) -> Function:
    """The function, of whose errors no word but ours gets out."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Iterator[Any]:
            try:
                yield from function(*args, **kwargs)
            except Exception as error:
                told = clean_error(error)
            else:
                return
            raise told

        guarded: Any = generate
    else:

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                told = clean_error(error)
            raise told  # outside: what it was raised from is not its context

        guarded = call
    setattr(guarded, GUARDED, True)
    return guarded


def clean_error(error: BaseException) -> BaseException:
    """What may be told of an error, without its causes but for the first of our own among them."""
    ours = _find_own(error)
    if ours is error:
        ours.__cause__ = ours.__context__ = None
        return ours
    told = _describe_unexpected(error)
    if ours is not None:
        ours.__cause__ = ours.__context__ = None
        told.__cause__ = ours
    return told


def _find_own(error: BaseException) -> BaseException | None:
    """The error, or the first below it, whose words are ours."""
    found: BaseException | None = error
    for _ in range(20):
        if found is None or isinstance(found, (CsFeaturesError, *_SAFE)):
            return found
        found = found.__cause__
    return None


def _describe_unexpected(error: BaseException) -> UnexpectedError:
    places = [_name_place(frame) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [place for place in places if place.startswith("cs_features/") and "boundary.py" not in place]
    shown = [*ours[-MAX_PLACES:], *places[-1:]]
    kind: type[UnexpectedError] = type(type(error).__name__, (UnexpectedError,), {})
    return kind(
        f"no word of it is shown, because it may quote a customer. Raised in {' > '.join(dict.fromkeys(shown))}"
    )


def _name_place(frame: traceback.FrameSummary) -> str:
    path = Path(frame.filename)
    short = path.relative_to(_ROOT) if path.is_relative_to(_ROOT) and ".venv" not in path.parts else path.name
    return f"{short}:{frame.lineno} {frame.name}"
