"""Every error that this project raises on purpose, under one root.

    CsFeaturesError              what is wrong and what to do about it, in a sentence that quotes no customer
    ├── ConfigurationError       refused where it is set, before anything runs
    │   ├── SettingsError        a CS_FEATURES_ variable
    │   ├── PromptError          files under prompts/, a line a problem
    │   ├── UnknownModelError    a model without a row in the table of capabilities
    │   └── UnknownPriceError    a model whose list price nobody knows
    ├── SchemaMismatch           a table without the columns of this version
    ├── TableUnreadable          an object in a table's place that is none
    ├── RequestError             what was asked for cannot be meant, or is not there
    ├── AwsRefusal               AWS did not do what was asked
    │   ├── AccessRefused        a permission, a key or the thing itself is missing: asking again changes nothing
    │   └── ObjectUnreadable     one object of a bucket; the others can be read
    │       └── ObjectRefused    for its permission, its key or where it is archived: an AccessRefused as well
    ├── DagsterRefusal           the Dagster that a command speaks to does not answer, or refuses
    ├── PublishingFailed         some records could not be written or read
    ├── WithdrawalStopped        a publication would take more out of the store than it may
    └── CallFailed               a call to Bedrock without an answer
        ├── Throttled            429: ask again, later
        ├── Unavailable          5xx and broken connections: ask again
        ├── RequestRefused       this request will never be answered as it is
        │   └── InputTooLong
        ├── AnswerUnreadable     an answer that cannot be taken apart
        └── RunStopper           every call of the run would fail in the same way
            ├── Outage           and asking again later may help
            └── BudgetSpent      what may be spent is spent

Commands catch the root and nothing wider; alerts relay the words of these errors and of no others. A defect is
none of them: it is shown as what it is.
"""

from typing import Any


class CsFeaturesError(Exception):
    """The root. The message says what to do and may be shown to anybody."""


class ConfigurationError(CsFeaturesError):
    """A setting or a file that cannot work; trying again changes nothing."""


class SettingsError(ConfigurationError):
    """A setting has a value that cannot work; the message names the variable."""


class PromptError(ConfigurationError):
    """Files under `prompts/` cannot be used; a line each problem, with file, line and what to do."""


class UnknownModelError(ConfigurationError):
    """The configured model has no row in the capability table."""


class UnknownPriceError(ConfigurationError):
    """No exact list price is known, so neither cost nor budget could be told."""


class TableUnreadable(CsFeaturesError):
    """A stored table cannot be read: half of one, or something else in its place. The message names the object."""


class RequestError(CsFeaturesError):
    """What was asked for cannot be meant, or there is nothing to do it with; the message says what can."""


class SchemaMismatch(CsFeaturesError):
    """A table as a whole does not fit its schema; no row is to blame. The message names columns and no value."""


class AwsRefusal(CsFeaturesError):
    """AWS did not do what was asked; the message says what to set, create or allow."""


class AccessRefused(AwsRefusal):
    """A permission, a key or the thing itself is missing, until somebody allows or creates it."""


class ObjectUnreadable(AwsRefusal):
    """One object cannot be read: its permission, key or storage class, or a body that breaks off each time."""

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(f"{uri}: {why}")
        self.why = why


class ObjectRefused(ObjectUnreadable, AccessRefused):
    """One object is not given to whoever asks, until somebody allows, restores or replaces it."""


class DagsterRefusal(CsFeaturesError):
    """The Dagster UI that a command speaks to does not answer, or did not do what was asked."""


class PublishingFailed(CsFeaturesError):
    """Some records could not be written or read; the others were, and the manifest knows which."""


class WithdrawalStopped(CsFeaturesError):
    """A publication would withdraw more records than it may unasked; nothing was changed. The message has numbers."""


class CallFailed(CsFeaturesError):
    """A call to Bedrock without an answer. The message carries no text of the interaction."""


class Throttled(CallFailed):
    """429: the account's quota for requests or tokens a minute. Ask again, later."""


class Unavailable(CallFailed):
    """5xx, 408, 424 or a broken connection: the service's fault. Ask again."""


class RequestRefused(CallFailed):
    """400: this request will never be answered as it is.

    `said` is AWS's message, which may quote the interaction: it is shown only where AWS says the same of several.
    """

    def __init__(self, message: str, *, said: str = "") -> None:
        super().__init__(message)
        self.said = said


class InputTooLong(RequestRefused):
    """400: more text than the model reads."""


class AnswerUnreadable(CallFailed):
    """200, with an answer that nests too deep to be read. Asking again would only be paid again."""


class RunStopper(CallFailed):
    """Every call of the run would fail in the same way; the message says what to do.

    `paid` is what the calls before it for the same request have cost, an outcome of `extraction/engine.py`.
    """

    paid: Any = None


class Outage(RunStopper):
    """The service answers nothing at present; nothing is wrong with the account or the requests."""


class BudgetSpent(RunStopper):
    """A cap of dollars is reached; the message names its variable. Asking again by itself would spend another one."""


def list_every_error() -> list[type[CsFeaturesError]]:
    """The root and all that stands under it."""
    found: list[type[CsFeaturesError]] = [CsFeaturesError]
    for each in found:  # grows while it is walked
        found += [error for error in each.__subclasses__() if error not in found]
    return found


# What asking again does not change, whoever asks.
_LASTING = (
    ConfigurationError,
    AccessRefused,
    RequestError,
    SchemaMismatch,
    TableUnreadable,
    WithdrawalStopped,
    RunStopper,
)


def is_lasting_error(error: type[CsFeaturesError]) -> bool:
    """Whether what such an error says stays true until somebody changes something."""
    return issubclass(error, _LASTING) and not issubclass(error, Outage)
