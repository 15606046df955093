"""The statements of the template's roles, as they stand in the account that tests record their calls in."""

from typing import Any

from cs_features_tests.support.cloudformation import Resolver, read_template
from cs_features_tests.support.recorded_calls import arn

TOPIC = arn("sns", "cs-features-alerts")
TOMBSTONE_KEY = arn("secretsmanager", "secret:cs-features/tombstone-key-AbCdEf")


def resolve_policies() -> dict[str, list[dict[str, Any]]]:
    """The statements of each role, by its name in the template."""
    template = read_template()
    references = {"AlertsTopic": TOPIC, "TombstoneKey": TOMBSTONE_KEY}
    names = {
        "LandingBucket": "BucketName",
        "DataBucket": "BucketName",
        "FeatureGroup": "FeatureGroupName",
        "CustomerFeatureGroup": "FeatureGroupName",
    }

    def name_of(logical: str) -> str:
        if logical in references:
            return references[logical]
        properties = template["Resources"][logical]["Properties"]
        return str(resolver.resolve(properties[names.get(logical, "ClusterName")]))

    def attribute_of(logical: str, attribute: str) -> str:
        kind = template["Resources"][logical]["Type"]
        arns = {
            "AWS::S3::Bucket": lambda: f"arn:aws:s3:::{name_of(logical)}",
            "AWS::IAM::Role": lambda: f"arn:aws:iam::123456789012:role/{logical}",
            "AWS::ECS::Cluster": lambda: arn("ecs", f"cluster/{name_of(logical)}"),
        }
        return arns[kind]() if attribute == "Arn" and kind in arns else f"{logical}.{attribute}"

    resolver = Resolver(template, name_of, attribute_of)
    roles = {name: each for name, each in template["Resources"].items() if each["Type"] == "AWS::IAM::Role"}
    return {
        name: [
            statement
            for policy in resolver.resolve(role["Properties"]["Policies"])
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        for name, role in roles.items()
    }


POLICIES = resolve_policies()
