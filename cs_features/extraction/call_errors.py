"""What each error and each stop reason of Converse means for a run: two tables, and the sentences that go with them.

Belongs here: pure functions from what AWS or botocore said to one of our errors. Does not belong here: making a call
(`bedrock.py`), asking again (`engine.py`). A test holds both tables against the installed botocore.
"""

import re
from enum import Enum
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as ConnectionFailed
from botocore.parsers import ResponseParserError

from cs_features.errors import CallFailed, InputTooLong, RequestRefused, RunStopper, Throttled, Unavailable
from cs_features.privacy.masking import mask_personal_data

MAX_QUOTED_CHARACTERS = 300  # of AWS's own words, in a message of ours


class Meaning(Enum):
    """Whom an error concerns, and whether to ask again."""

    BUSY = "the quota of the minute is used up: ask again, later"
    DOWN = "the service's fault: ask again"
    DENIED = "the account's fault: every call of the run would end like this"
    REFUSED = "the request's fault, unless its words say that it is the account's"


MEANINGS = {
    "ThrottlingException": Meaning.BUSY,
    "ServiceUnavailableException": Meaning.DOWN,
    "InternalServerException": Meaning.DOWN,
    "ModelNotReadyException": Meaning.DOWN,
    # botocore retries neither 408 nor 424 in any mode.
    "ModelTimeoutException": Meaning.DOWN,
    "ModelErrorException": Meaning.DOWN,
    "ModelStreamErrorException": Meaning.DOWN,
    "ConflictException": Meaning.DOWN,
    "AccessDeniedException": Meaning.DENIED,
    "ResourceNotFoundException": Meaning.DENIED,
    "ServiceQuotaExceededException": Meaning.DENIED,
    "UnrecognizedClientException": Meaning.DENIED,
    "ExpiredTokenException": Meaning.DENIED,
    "InvalidSignatureException": Meaning.DENIED,
    "ValidationException": Meaning.REFUSED,
}

_ADVICE = {
    "AccessDeniedException": (
        "allow bedrock:InvokeModel on the inference profile and on the foundation models behind it, and accept "
        "the model's agreement in the Bedrock console"
    ),
    "ResourceNotFoundException": "set CS_FEATURES_MODEL_ID to a model that this region offers",
    "ServiceQuotaExceededException": "ask for a higher quota in Service Quotas",
    "UnrecognizedClientException": "the credentials are not valid for this region; renew them",
    "ExpiredTokenException": "the credentials have expired; renew them",
    "InvalidSignatureException": "the credentials are wrong; check the secret key and the clock",
}

# How messages begin that concern the account and not the request, whatever their status, with what to do. Only the
# beginning counts: further on, an error about one request may quote a customer who wrote the same.
_ACCOUNT_REFUSALS = {
    "operation not allowed": (
        "Bedrock allows this account no calls, as with new and restricted accounts: ask AWS Support to enable it, "
        "or use another account"
    ),
    "invocation of model id": (
        "Bedrock offers this model through an inference profile only: set CS_FEATURES_MODEL_ID to the profile, "
        "which begins with eu."
    ),
    "the provided model identifier is invalid": (
        "Bedrock does not know the model: set CS_FEATURES_MODEL_ID to one of this region"
    ),
    "you don't have access to the model": (
        "access to the model is turned off: turn it on for this account and region in the Bedrock console"
    ),
    "your account is not authorized": (
        "Bedrock allows this account no calls: ask AWS Support to enable it, or use another account"
    ),
    "access to anthropic models is not allowed": (
        "the model may not be called from here: set AWS_REGION to a region of the EU, or use another model"
    ),
    "model use case details have not been submitted": (
        "the model wants to know what it is for: submit its use case form in the Bedrock console, once an account"
    ),
    "model access is denied due to invalid_payment_instrument": (
        "the account has no valid way to pay for the model: add one in the AWS Billing console"
    ),
    "model access is denied due to iam user or service role is not authorized to perform the required aws": (
        "the model's agreement is not accepted, and these credentials may not accept it: allow "
        "aws-marketplace:Subscribe and aws-marketplace:ViewSubscriptions, or accept it in the Bedrock console"
    ),
}
_ACTION = re.compile(
    r"\b(?:bedrock|aws-marketplace|sts|kms):[A-Z][A-Za-z]{2,50}\b"
    r"(?: on resource: arn:aws[a-z-]{0,8}:bedrock:[a-z0-9-]{0,20}:[0-9]{0,12}:[a-z0-9:/._-]{1,120})?"
)
_PER_DAY = re.compile(r"\bper day\b|\bdaily\b", re.IGNORECASE)


def classify_call_error(error: Exception) -> CallFailed:
    """What an exception of `client.converse` means. Its message quotes no customer."""
    match error:
        case ClientError():
            return _classify_broken_answer(error)
        case ParamValidationError():
            # Its message quotes the parameters, and so the interaction.
            return RequestRefused("boto3 does not accept the request")
        case NoCredentialsError() | PartialCredentialsError():
            return RunStopper("No AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret")
        case CredentialRetrievalError() | MetadataRetrievalError():
            return Unavailable(f"{type(error).__name__}: whoever hands out the credentials does not answer")
        case ConnectionFailed() | HTTPClientError() | IncompleteReadError() | ResponseParserError():
            return Unavailable(type(error).__name__)
        case BotoCoreError():
            return RunStopper(f"boto3 cannot call Bedrock ({type(error).__name__}): {quote_aws_safely(str(error))}")
    raise error


def _classify_broken_answer(error: ClientError) -> CallFailed:
    told: dict[str, Any] = error.response.get("Error", {})
    code, message = told.get("Code") or "", told.get("Message") or ""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    name = code or str(status)
    meaning = MEANINGS.get(code) or _meaning_of_status(status)
    if meaning is Meaning.DOWN:
        return Unavailable(name)
    if advice := _advice_for_account(message):
        return RunStopper(f"Bedrock refuses every call ({name}): {advice}")
    if meaning is Meaning.BUSY:
        if _PER_DAY.search(message):
            return RunStopper(
                "Bedrock's quota of the day is spent; ask for a higher one in Service Quotas, or run tomorrow"
            )
        return Throttled(name)
    if meaning is Meaning.DENIED:
        advice = _ADVICE.get(code, "check the account, the region and CS_FEATURES_MODEL_ID")
        return RunStopper(f"Bedrock refuses every call ({name}): {advice}{_name_action(message)}")
    if "too long" in message.lower():
        return InputTooLong(name)
    return RequestRefused(name, said=message)


def _name_action(message: str) -> str:
    """The action and the resource that AWS's words name; no other word of them is repeated."""
    named = _ACTION.search(message)
    return f" (AWS names {named.group().replace('resource: ', '')})" if named else ""


def _meaning_of_status(status: int) -> Meaning:
    """For codes of proxies, of other AWS services on the way, and of a newer Bedrock."""
    if status == 429:
        return Meaning.BUSY
    if status in (401, 403, 404):
        return Meaning.DENIED
    if status >= 500 or status in (408, 424):
        return Meaning.DOWN
    return Meaning.REFUSED


def _advice_for_account(message: str) -> str | None:
    beginning = message.strip().lower().replace("\u2019", "'")
    return next((advice for words, advice in _ACCOUNT_REFUSALS.items() if beginning.startswith(words)), None)


def quote_aws_safely(message: str) -> str:
    """AWS's words for a message of ours: one line, bounded, without what they quote and without personal data."""
    unquoted = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "(...)", " ".join(message.split()))
    printable = "".join(character for character in unquoted if character.isprintable())
    shown = mask_personal_data(printable[: 4 * MAX_QUOTED_CHARACTERS], "NL").text
    return shown if len(shown) <= MAX_QUOTED_CHARACTERS else shown[:MAX_QUOTED_CHARACTERS] + "..."


# --- stop reasons -----------------------------------------------------------------------------


class Ending(Enum):
    """What a stop reason says of the answer before it."""

    COMPLETE = "the model ended by itself"
    MALFORMED = "the model's output cannot be read: ask afresh"
    CUT_OFF = "the answer reached maxTokens"
    TOO_LONG = "prompt and answer together are longer than the model reads"
    WITHHELD = "the model, a filter or a guardrail withheld the answer"


ENDINGS = {
    "tool_use": Ending.COMPLETE,
    "end_turn": Ending.COMPLETE,
    "stop_sequence": Ending.COMPLETE,
    "malformed_model_output": Ending.MALFORMED,
    "malformed_tool_use": Ending.MALFORMED,
    "max_tokens": Ending.CUT_OFF,
    "model_context_window_exceeded": Ending.TOO_LONG,
    "content_filtered": Ending.WITHHELD,
    "guardrail_intervened": Ending.WITHHELD,
    "refusal": Ending.WITHHELD,  # Claude's own, which Bedrock passes on though its model does not list it
}


def classify_stop_reason(stop_reason: str) -> Ending:
    """A reason of tomorrow's Bedrock counts as withheld: an answer that may be half one is none."""
    return ENDINGS.get(stop_reason, Ending.WITHHELD)
