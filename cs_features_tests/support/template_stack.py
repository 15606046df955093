"""Makes every resource of the template through boto3, which validates each property, on moto's server.

moto's own CloudFormation says CREATE_COMPLETE to what it skips. Here a type that nobody taught is an error, and so
is a property that its API does not take. Made in the order in which resources refer to each other.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from cs_features_tests.support.cloudformation import Resolver, Resource, read_template

MakeClient = Callable[[str], Any]


class UnknownResourceType(Exception):
    """A resource of the template that no test would have looked at."""


class TemplateStack:
    """The template's resources, made; what each is called, and its attributes."""

    def __init__(self, make_client: MakeClient, template: Mapping[str, Any] | None = None, **parameters: Any) -> None:
        self.template = template or read_template()
        self.make_client = make_client
        self.names: dict[str, str] = {}
        self.attributes: dict[str, dict[str, Any]] = {}
        self.resolver = Resolver(self.template, self.name_of, self.attribute_of, **parameters)

    def make_everything(self) -> "TemplateStack":
        for name in self.template["Resources"]:
            self.name_of(name)
        return self

    def name_of(self, logical: str) -> str:
        """The physical id, as `Ref` gives it; makes the resource if nobody has."""
        if logical not in self.names:
            self._make(logical)
        return self.names[logical]

    def attribute_of(self, logical: str, attribute: str) -> Any:
        self.name_of(logical)
        return self.attributes[logical][attribute]

    def properties_of(self, logical: str) -> dict[str, Any]:
        properties: dict[str, Any] = self.resolver.resolve(self.template["Resources"][logical]["Properties"])
        return properties

    def _make(self, logical: str) -> None:
        resource: Resource = self.template["Resources"][logical]
        self.names[logical] = ""  # a resource that needs itself gets nothing
        if not self.resolver.is_wanted(resource):
            return
        if resource["Type"] not in MAKERS:
            raise UnknownResourceType(f"{logical} is a {resource['Type']}: teach cs_features_tests how to make one")
        service, make = MAKERS[resource["Type"]]
        properties = self.resolver.resolve(resource.get("Properties", {}))
        name, attributes = make(self.make_client(service), properties)
        self.names[logical], self.attributes[logical] = name, attributes


Made = tuple[str, dict[str, Any]]


def lower_keys(value: Any, keep: tuple[str, ...] = ("Options",)) -> Any:
    """PascalCase to camelCase, as ECS and CloudWatch Logs want it; the keys of free maps stay."""
    if isinstance(value, list):
        return [lower_keys(item, keep) for item in value]
    if not isinstance(value, dict):
        return value
    return {key[0].lower() + key[1:]: item if key in keep else lower_keys(item, keep) for key, item in value.items()}


def make_bucket(s3: Any, wanted: dict[str, Any]) -> Made:
    bucket = wanted.pop("BucketName")
    s3.create_bucket(
        Bucket=bucket,
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
        ObjectOwnership=wanted["OwnershipControls"]["Rules"][0]["ObjectOwnership"],
    )
    (encryption,) = wanted.pop("BucketEncryption")["ServerSideEncryptionConfiguration"]
    encryption = {"ApplyServerSideEncryptionByDefault": encryption.pop("ServerSideEncryptionByDefault"), **encryption}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [encryption]})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=wanted.pop("VersioningConfiguration"))
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=wanted.pop("OwnershipControls"))
    block = wanted.pop("PublicAccessBlockConfiguration")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    rules = [_translate_lifecycle(rule) for rule in wanted.pop("LifecycleConfiguration")["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    assert not wanted, f"nobody put {sorted(wanted)}"
    return bucket, {"Arn": f"arn:aws:s3:::{bucket}"}


def _translate_lifecycle(rule: dict[str, Any]) -> dict[str, Any]:
    translated = {"ID": rule.pop("Id"), "Status": rule.pop("Status"), "Filter": {"Prefix": rule.pop("Prefix")}}
    if "ExpirationInDays" in rule:
        translated["Expiration"] = {"Days": int(rule.pop("ExpirationInDays"))}
    return {**translated, **rule}


def put_bucket_policy(s3: Any, wanted: dict[str, Any]) -> Made:
    s3.put_bucket_policy(Bucket=wanted["Bucket"], Policy=json.dumps(wanted["PolicyDocument"]))
    return f"policy of {wanted['Bucket']}", {}


def make_role(iam: Any, wanted: dict[str, Any]) -> Made:
    policies = wanted.pop("Policies")
    trust = json.dumps(wanted.pop("AssumeRolePolicyDocument"))
    name = f"role-{policies[0]['PolicyName']}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **wanted)["Role"]
    for policy in policies:
        document = json.dumps(policy["PolicyDocument"])
        iam.put_role_policy(RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document)
    return name, {"Arn": role["Arn"]}


def make_vpc(ec2: Any, wanted: dict[str, Any]) -> Made:
    switches = {name: wanted.pop(name) for name in ("EnableDnsSupport", "EnableDnsHostnames")}
    tags = [{"ResourceType": "vpc", "Tags": wanted.pop("Tags")}]
    vpc = ec2.create_vpc(TagSpecifications=tags, **wanted)["Vpc"]["VpcId"]
    for name, value in switches.items():
        ec2.modify_vpc_attribute(VpcId=vpc, **{name: {"Value": value}})
    return vpc, {}


def make_subnet(ec2: Any, wanted: dict[str, Any]) -> Made:
    public = wanted.pop("MapPublicIpOnLaunch")
    subnet = ec2.create_subnet(**wanted)["Subnet"]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": public})
    return subnet, {}


def make_security_group(ec2: Any, wanted: dict[str, Any]) -> Made:
    ingress, egress = wanted.pop("SecurityGroupIngress", []), wanted.pop("SecurityGroupEgress")
    description = wanted.pop("GroupDescription")
    group = ec2.create_security_group(GroupName=description[:40], Description=description, **wanted)["GroupId"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[_translate_rule(rule) for rule in egress])
    if ingress:
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[_translate_rule(rule) for rule in ingress])
    return group, {"GroupId": group}


def _translate_rule(rule: dict[str, Any]) -> dict[str, Any]:
    description = rule.pop("Description")
    if "CidrIp" in rule:
        peer = {"IpRanges": [{"CidrIp": rule.pop("CidrIp"), "Description": description}]}
    else:
        peer = {"UserIdGroupPairs": [{"GroupId": rule.pop("SourceSecurityGroupId"), "Description": description}]}
    return {**rule, **peer}


def make_subnet_group(rds: Any, wanted: dict[str, Any]) -> Made:
    rds.create_db_subnet_group(DBSubnetGroupName="cs-features", **wanted)
    return "cs-features", {}


def make_database(rds: Any, wanted: dict[str, Any]) -> Made:
    renamed = {
        "VpcSecurityGroupIds": wanted.pop("VPCSecurityGroups"),
        "AllocatedStorage": int(wanted.pop("AllocatedStorage")),
    }
    made = rds.create_db_instance(DBInstanceIdentifier="dagster", **renamed, **wanted)["DBInstance"]
    secret = made.get("MasterUserSecret", {}).get(
        "SecretArn", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"
    )
    return "dagster", {
        "Endpoint.Address": made.get("Endpoint", {}).get("Address", "dagster.example"),
        "DbiResourceId": made["DbiResourceId"],
        "MasterUserSecret.SecretArn": secret,
    }


def make_secret(secrets: Any, wanted: dict[str, Any]) -> Made:
    value = secrets.get_random_password(**wanted.pop("GenerateSecretString"))["RandomPassword"]
    return str(secrets.create_secret(SecretString=value, **wanted)["ARN"]), {}


def make_key(kms: Any, wanted: dict[str, Any]) -> Made:
    rotates = wanted.pop("EnableKeyRotation")
    made = kms.create_key(Policy=json.dumps(wanted.pop("KeyPolicy")), **wanted)["KeyMetadata"]
    if rotates:
        kms.enable_key_rotation(KeyId=made["KeyId"])
    return str(made["KeyId"]), {"Arn": made["Arn"]}


def make_repository(ecr: Any, wanted: dict[str, Any]) -> Made:
    lifecycle = wanted.pop("LifecyclePolicy")["LifecyclePolicyText"]
    wanted = lower_keys(wanted)
    made = ecr.create_repository(**wanted)["repository"]
    ecr.put_lifecycle_policy(repositoryName=made["repositoryName"], lifecyclePolicyText=lifecycle)
    return made["repositoryName"], {"Arn": made["repositoryArn"], "RepositoryUri": made["repositoryUri"]}


def make_log_group(logs: Any, wanted: dict[str, Any]) -> Made:
    name = wanted["LogGroupName"]
    logs.create_log_group(logGroupName=name)
    logs.put_retention_policy(logGroupName=name, retentionInDays=int(wanted["RetentionInDays"]))
    return name, {"Arn": f"arn:aws:logs:eu-central-1:123456789012:log-group:{name}:*"}


def make_metric_filter(logs: Any, wanted: dict[str, Any]) -> Made:
    name = wanted["FilterPattern"].strip('"').replace(":", "")
    logs.put_metric_filter(filterName=name, **lower_keys(wanted))
    return name, {}


def make_cluster(ecs: Any, wanted: dict[str, Any]) -> Made:
    cluster = ecs.create_cluster(**lower_keys(wanted))["cluster"]
    return cluster["clusterName"], {"Arn": cluster["clusterArn"]}


def register_task_definition(ecs: Any, wanted: dict[str, Any]) -> Made:
    arn = ecs.register_task_definition(**lower_keys(wanted))["taskDefinition"]["taskDefinitionArn"]
    return arn, {}


def make_service(ecs: Any, wanted: dict[str, Any]) -> Made:
    service = ecs.create_service(**lower_keys(wanted))["service"]
    return service["serviceArn"], {}


def make_topic(sns: Any, wanted: dict[str, Any]) -> Made:
    arn = sns.create_topic(Name=wanted["TopicName"])["TopicArn"]
    return arn, {}


def put_topic_policy(sns: Any, wanted: dict[str, Any]) -> Made:
    (topic,) = wanted["Topics"]
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(wanted["PolicyDocument"])
    )
    return f"policy of {topic}", {}


def make_feature_group(sagemaker: Any, wanted: dict[str, Any]) -> Made:
    sagemaker.create_feature_group(**wanted)
    return wanted["FeatureGroupName"], {}


def put_alarm(cloudwatch: Any, wanted: dict[str, Any]) -> Made:
    name = f"{wanted['Namespace']} {wanted['MetricName']}"
    cloudwatch.put_metric_alarm(AlarmName=name, **wanted)
    return name, {}


def make_budget(budgets: Any, wanted: dict[str, Any]) -> Made:
    budget = wanted.pop("Budget")
    budget["BudgetLimit"]["Amount"] = str(budget["BudgetLimit"]["Amount"])
    budgets.create_budget(AccountId="123456789012", Budget=budget, **wanted)
    return budget["BudgetName"], {}


def call(operation: str, path: tuple[str, ...] = ()) -> Callable[[Any, dict[str, Any]], Made]:
    """A resource whose properties are the parameters of one operation; its id is at `path` of the answer."""

    def make(client: Any, wanted: dict[str, Any]) -> Made:
        answer = getattr(client, operation)(**wanted)
        for step in path:
            answer = answer[step]
        return str(answer), {}

    return make


MAKERS: dict[str, tuple[str, Callable[[Any, dict[str, Any]], Made]]] = {
    "AWS::EC2::VPC": ("ec2", make_vpc),
    "AWS::EC2::InternetGateway": ("ec2", call("create_internet_gateway", ("InternetGateway", "InternetGatewayId"))),
    "AWS::EC2::VPCGatewayAttachment": ("ec2", call("attach_internet_gateway")),
    "AWS::EC2::RouteTable": ("ec2", call("create_route_table", ("RouteTable", "RouteTableId"))),
    "AWS::EC2::Route": ("ec2", call("create_route")),
    "AWS::EC2::Subnet": ("ec2", make_subnet),
    "AWS::EC2::SubnetRouteTableAssociation": ("ec2", call("associate_route_table", ("AssociationId",))),
    "AWS::EC2::VPCEndpoint": ("ec2", call("create_vpc_endpoint", ("VpcEndpoint", "VpcEndpointId"))),
    "AWS::EC2::SecurityGroup": ("ec2", make_security_group),
    "AWS::S3::Bucket": ("s3", make_bucket),
    "AWS::S3::BucketPolicy": ("s3", put_bucket_policy),
    "AWS::IAM::Role": ("iam", make_role),
    "AWS::SageMaker::FeatureGroup": ("sagemaker", make_feature_group),
    "AWS::RDS::DBSubnetGroup": ("rds", make_subnet_group),
    "AWS::RDS::DBInstance": ("rds", make_database),
    "AWS::SecretsManager::Secret": ("secretsmanager", make_secret),
    "AWS::KMS::Key": ("kms", make_key),
    "AWS::ECR::Repository": ("ecr", make_repository),
    "AWS::Logs::LogGroup": ("logs", make_log_group),
    "AWS::Logs::MetricFilter": ("logs", make_metric_filter),
    "AWS::ECS::Cluster": ("ecs", make_cluster),
    "AWS::ECS::TaskDefinition": ("ecs", register_task_definition),
    "AWS::ECS::Service": ("ecs", make_service),
    "AWS::SNS::Topic": ("sns", make_topic),
    "AWS::SNS::TopicPolicy": ("sns", put_topic_policy),
    "AWS::SNS::Subscription": ("sns", call("subscribe", ("SubscriptionArn",))),
    "AWS::CloudWatch::Alarm": ("cloudwatch", put_alarm),
    "AWS::Budgets::Budget": ("budgets", make_budget),
}
