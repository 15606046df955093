"""What IAM would say: the statements of a policy over one request. Deny goes before allow, and nothing else is allowed.

As much of IAM's language as the template uses; a condition's operator that it does not know is an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Need:
    """An action on a resource, with what AWS knows of the request."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


OPERATORS = {
    "StringEquals": lambda value, wanted: value == wanted,
    "ArnEquals": lambda value, wanted: fnmatchcase(value, wanted),
}


def find_statement(statements: Sequence[Mapping[str, Any]], need: Need) -> Mapping[str, Any] | None:
    """The statement that allows it; None where none does or one denies it."""
    fitting = [statement for statement in statements if fits(statement, need)]
    if any(statement["Effect"] == "Deny" for statement in fitting):
        return None
    return next(iter(fitting), None)


def fits(statement: Mapping[str, Any], need: Need) -> bool:
    actions = [action.lower() for action in as_list(statement["Action"])]
    if not any(fnmatchcase(need.action.lower(), action) for action in actions):
        return False
    if not any(fnmatchcase(need.resource, resource) for resource in as_list(statement["Resource"])):
        return False
    return all(
        key in need.context and OPERATORS[operator](need.context[key], wanted)
        for operator, conditions in statement.get("Condition", {}).items()
        for key, wanted in conditions.items()
    )


def as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
