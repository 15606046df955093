"""A policy linter finds nothing in the template's policies, but what its own knowledge of IAM is too old for."""

import json
import re
from itertools import chain

import pytest

from cs_features_tests.support.iam import as_list
from cs_features_tests.support.policies import POLICIES

pytestmark = pytest.mark.heavy

# (finding, what it is about): why it is none.
TOO_OLD = {
    ("UNKNOWN_ACTION", "sagemaker:BatchWriteRecord"): "came to SageMaker after the linter's last list of actions",
    ("RESOURCE_MISMATCH", "inference-profile"): "its list has foundation models only; IAM's reference has the profiles",
    ("INVALID_ARN", "eu-*"): "a profile of the EU sends calls to several regions; AWS's own example has the wildcard",
}
_UNRESOLVED = re.compile(r"^[A-Za-z.]+\.(Arn|SecretArn)$")  # what CloudFormation fills in


def list_findings(statements: list[dict[str, object]]) -> list[str]:
    """The findings that `TOO_OLD` does not explain. One action at a time: the linter stops at one unknown to it."""
    single = [{**statement, "Action": action} for statement in statements for action in as_list(statement["Action"])]
    return list(chain.from_iterable(map(_lint_statement, single)))


def _lint_statement(statement: dict[str, object]) -> list[str]:
    from parliament import analyze_policy_string  # here: to load it takes long

    policy = analyze_policy_string(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    said = json.dumps(statement)
    known = {kind for kind, about in TOO_OLD if about in said}
    return [f"{statement['Sid']}: {each.issue} {each.detail}" for each in policy.findings if each.issue not in known]


def name_resources(value: object) -> object:
    """The statement as it stands in an account: an ARN in place of each reference to one."""
    if isinstance(value, dict):
        return {key: name_resources(each) for key, each in value.items()}
    if isinstance(value, list):
        return [name_resources(each) for each in value]
    if isinstance(value, str) and _UNRESOLVED.match(value):
        return f"arn:aws:{_name_service(value)}"
    return value


def _name_service(reference: str) -> str:
    if "Secret" in reference:
        return "secretsmanager:eu-central-1:123456789012:secret:database-AbCdEf"
    if "Repository" in reference:
        return "ecr:eu-central-1:123456789012:repository/cs-features"
    return "logs:eu-central-1:123456789012:log-group:cs-features:*"


@pytest.mark.parametrize("role", sorted(POLICIES))
def test_a_policy_linter_finds_nothing(role: str) -> None:
    statements = [name_resources(statement) for statement in POLICIES[role]]
    assert not list_findings(statements)  # type: ignore[arg-type]


def test_the_linter_itself_finds_a_misspelt_action_and_the_resource_of_another() -> None:
    wrong = {
        "Sid": "Wrong",
        "Effect": "Allow",
        "Action": ["s3:GetObjectt", "s3:PutObject"],
        "Resource": "arn:aws:s3:::bucket",
    }
    assert {finding.split()[1] for finding in list_findings([wrong])} == {"UNKNOWN_ACTION", "RESOURCE_MISMATCH"}
