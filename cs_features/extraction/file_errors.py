"""Where in a file a problem stands: the errors of pydantic and YAML as `file:line: what is wrong`."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError


def describe_file_errors(error: ValidationError) -> list[str]:
    """`field: what is wrong` of each problem."""
    return [f"{'.'.join(map(str, each['loc'])) or 'answer'}: {each['msg']}" for each in error.errors()]


def locate_file_errors(path: Path, error: ValidationError, text: str, first_line: int) -> list[str]:
    """A line each problem of a YAML text, with the line where its value stands."""
    root = yaml.compose(text)
    return [
        f"{path}:{first_line + _line_of(root, problem['loc'])}: {what}"
        for problem, what in zip(error.errors(), describe_file_errors(error), strict=True)
    ]


def find_repeated_keys(path: Path, text: str, first_line: int) -> list[str]:
    """A line each key that a YAML mapping holds twice: YAML takes the last one and says nothing."""
    root = yaml.compose(text)
    keys = [key for key, _ in root.value] if isinstance(root, yaml.MappingNode) else []
    first = {key.value: key for key in reversed(keys)}
    return [
        f"{path}:{first_line + key.start_mark.line}: {key.value} occurs twice"
        for key in keys
        if key is not first[key.value]
    ]


def locate_yaml_error(path: Path, error: yaml.YAMLError, first_line: int) -> str:
    """What a YAML text breaks, with its line."""
    mark = getattr(error, "problem_mark", None)
    return f"{path}:{first_line + (mark.line if mark else 0)}: {getattr(error, 'problem', None) or error}"


def _line_of(node: yaml.Node | None, location: Sequence[int | str]) -> int:
    """The line, from 0, of the deepest value of `location` that is there."""
    line = node.start_mark.line if node else 0
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                return line
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            return line
    return line
