"""A CloudFormation template as far as ours goes: read, and its intrinsic functions worked out.

A function that it does not know is an error.

Not here: making the resources (`template_stack.py`).
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from cs_features_tests.support.lab import REPOSITORY

TEMPLATE = REPOSITORY / "deploy" / "template.yaml"
PSEUDO_PARAMETERS = {
    "AWS::AccountId": "123456789012",
    "AWS::Region": "eu-central-1",
    "AWS::Partition": "aws",
    "AWS::StackName": "cs-features",
}
GetAttribute = Callable[[str, str], Any]
Resource = dict[str, Any]


class _Loader(yaml.CSafeLoader):
    """YAML with CloudFormation's short forms: `!Sub x` is {"Fn::Sub": x}."""


def _read_short_form(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    readers = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence}
    value = readers[type(node)](node, **({} if isinstance(node, yaml.ScalarNode) else {"deep": True}))
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _read_short_form)


def read_template(path: Path = TEMPLATE) -> dict[str, Any]:
    template: dict[str, Any] = yaml.load(path.read_text(), _Loader)
    return template


class Resolver:
    """Works intrinsic functions out, given parameters and what was made so far."""

    def __init__(
        self,
        template: Mapping[str, Any],
        get_reference: Callable[[str], Any],
        get_attribute: GetAttribute,
        **given: Any,
    ) -> None:
        defaults = {name: spec.get("Default") for name, spec in template["Parameters"].items()}
        self._values = {**PSEUDO_PARAMETERS, **defaults, **given}
        self._conditions = template["Conditions"]
        self._get_reference = get_reference
        self._get_attribute = get_attribute

    def is_wanted(self, resource: Resource) -> bool:
        return "Condition" not in resource or bool(self.resolve(self._conditions[resource["Condition"]]))

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        ((name, argument),) = value.items() if len(value) == 1 else (("", None),)
        if name == "Ref" or name.startswith("Fn::"):
            return self._call(name, argument)
        return {key: self.resolve(item) for key, item in value.items()}

    def _call(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return self._refer(argument)
        if name == "Fn::GetAtt":
            return self._get_attribute(*argument)
        if name == "Fn::GetAZs":
            return [f"{PSEUDO_PARAMETERS['AWS::Region']}{letter}" for letter in "abc"]
        if name == "Fn::Sub":
            return self._substitute(argument)
        values = self.resolve(argument)
        functions: dict[str, Callable[..., Any]] = {
            "Fn::Select": lambda index, items: items[int(index)],
            "Fn::Split": lambda mark, text: text.split(mark),
            "Fn::Equals": lambda one, other: one == other,
            "Fn::Not": lambda condition: not condition,
        }
        return functions[name](*values)

    def _refer(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._get_reference(name)

    def _substitute(self, argument: Any) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else (argument[0], self.resolve(argument[1]))

        def replace(match: re.Match[str]) -> str:
            name = match.group(1)
            if name in own:
                return str(own[name])
            return str(self._get_attribute(*name.split(".", 1)) if "." in name else self._refer(name))

        return re.sub(r"\$\{([^}]+)\}", replace, text)
