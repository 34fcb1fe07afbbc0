"""Changes of the schema: each kind, in responses and in inputs, in what the operations use and in what they do not use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.schema.other_schema import PINNED_TEXT


@dataclass(frozen=True)
class Change:
    """A change of the pinned schema.

    Attributes:
        name: What changes.
        edits: The parts of the text that change: the first words of a definition, a text in it, and the new text.
        addition: Definitions to add.
        renamed: The names of types in the pinned schema, by their new name.
        unobserved: The functions that are reported, but that no call has to break; a comment says why.
    """

    name: str
    edits: tuple[tuple[str, str, str], ...] = ()
    addition: str = ""
    renamed: dict[str, str] = field(default_factory=dict)
    unobserved: frozenset[str] = frozenset()

    def sdl(self) -> str:
        """Return the text of the changed schema."""
        text = PINNED_TEXT
        for definition, old, new in self.edits:
            pattern = re.compile(rf"^{re.escape(definition)}\b[^{{\n]*(?:\{{.*?^\}}|$)", re.MULTILINE | re.DOTALL)
            [block] = pattern.findall(text)
            assert block.count(old) == 1, (self.name, block, old)
            text = text.replace(block, block.replace(old, new))
        for new_name, old_name in self.renamed.items():
            text = re.sub(rf"\b{old_name}\b", new_name, text)
        return f"{text}\n{self.addition}\n"


REVISING = frozenset(f"{name}_deployment" for name in ("patch", "restart", "rollback", "scale", "start", "stop"))

CHANGES = [
    # Fields of responses that the operations use
    Change("field removed", (("type DeploymentSpec", "  endpointUrl: String!\n", ""),)),
    Change("non-null to nullable", (("type DeploymentSpec", "endpointUrl: String!", "endpointUrl: String"),)),
    Change("object: non-null to nullable", (("type DeploymentSpec", "actor: Actor!", "actor: Actor"),)),
    Change("nullable to non-null", (("type DeploymentSpecData", "port: Int", "port: Int!"),)),
    Change("object: nullable to non-null", (("type Query", "): Deployment\n", "): Deployment!\n"),)),
    Change(
        "payload: non-null to nullable",
        (("type Mutation", "): CreateDeploymentPayload!", "): CreateDeploymentPayload"),),
    ),
    Change(
        "in a payload: non-null to nullable",
        (("type DeleteDeploymentPayload", "deployment: Deployment!", "deployment: Deployment"),),
    ),
    Change("String to ID", (("type DeploymentSpec", "endpointUrl: String!", "endpointUrl: ID!"),)),
    Change("custom scalar to String", (("type Deployment", "  id: UUID!", "  id: String!"),)),
    Change(
        "String to a new scalar", (("type DeploymentSpec", "endpointUrl: String!", "endpointUrl: Url!"),), "scalar Url"
    ),
    Change(
        "String to an enum",
        (("type DeploymentSpec", "endpointUrl: String!", "endpointUrl: Place!"),),
        "enum Place { HERE }",
    ),
    Change(
        "String to an object",
        (("type DeploymentSpec", "error: String", "error: SpecError"),),
        "type SpecError { text: String }",
    ),
    Change("object to String", (("type DeploymentSpec", "cluster: Cluster", "cluster: String"),)),
    Change("Int to Float", (("type DeploymentSpecData", "port: Int", "port: Float"),)),
    Change("Int to String", (("type DeploymentSpecData", "port: Int", "port: String"),)),
    Change("Float to Int", (("type DeploymentSpecAutoscalingMetricObject", "value: Float!", "value: Int!"),)),
    Change("Boolean to Int", (("type DeploymentSpecData", "enabled: Boolean", "enabled: Int"),)),
    Change("list: nullable items", (("type DeploymentSpecData", "command: [String!]", "command: [String]"),)),
    Change("list: nullable to non-null", (("type DeploymentSpecData", "command: [String!]", "command: [String!]!"),)),
    Change(
        "list of objects: nullable items",
        (("type DeploymentSpecConnection", "nodes: [DeploymentSpec!]!", "nodes: [DeploymentSpec]!"),),
    ),
    Change(
        "list of objects: nullable", (("type DeploymentConnection", "nodes: [Deployment!]!", "nodes: [Deployment!]"),)
    ),
    Change("list to a single value", (("type DeploymentSpecData", "command: [String!]", "command: String"),)),
    Change(
        "single value to a list",
        (("type DeploymentSpecData", "containerRegistry: String", "containerRegistry: [String!]"),),
    ),
    Change("list to a list of lists", (("type DeploymentSpecData", "command: [String!]", "command: [[String!]!]"),)),
    Change(
        "object to a list of objects",
        (("type DeploymentSpec", "data: DeploymentSpecData!", "data: [DeploymentSpecData!]!"),),
    ),
    Change("enum value added", (("enum DeploymentRunInstanceState", "failed", "failed\n  frozen"),)),
    Change("enum value removed", (("enum DeploymentRunInstanceState", "  retrying\n", ""),)),
    Change("enum to String", (("type DeploymentRunInstance", "state: DeploymentRunInstanceState", "state: String"),)),
    Change(
        "enum to Int",
        (("type DeploymentRunInstance", "phase: InstancePhase", "phase: Int"),),
        unobserved=frozenset({"stop_deployment(wait=True)"}),  # the instances are gone at the first poll
    ),
    Change("type renamed, with a fragment", renamed={"Page": "PageInfo"}),
    Change("type renamed, without a fragment", renamed={"Machines": "Cluster"}),
    Change(
        "custom scalar to a new scalar",
        (("type DeploymentLogLine", "dtCreated: DateTime!", "dtCreated: Timestamp!"),),
        "scalar Timestamp",
    ),
    Change(
        "type becomes a union",
        (("type DeploymentSpec", "actor: Actor!", "actor: Author!"),),
        "union Author = Actor | Robot\ntype Robot { name: String }",
    ),
    Change(
        "type becomes an interface",
        (("type Actor", "type Actor", "interface Actor"),),
        "type Person implements Actor { avatarUrl: String email: String fullName: String }",
        {},
    ),
    Change(
        "type implements an interface",
        (("type Actor", "type Actor", "type Actor implements Named"),),
        "interface Named { fullName: String }",
    ),
    Change(
        "field deprecated",
        (("type DeploymentSpec", "endpointUrl: String!", 'endpointUrl: String! @deprecated(reason: "Old.")'),),
    ),
    Change("query type renamed", addition="schema { query: Root mutation: Mutation }", renamed={"Root": "Query"}),
    Change("mutations removed", addition="schema { query: Query }"),
    Change(
        "one mutation removed",
        (("type Mutation", "  deleteDeployment(input: DeleteDeploymentInput!): DeleteDeploymentPayload!\n", ""),),
    ),
    Change("scalar specified by another URL", (("scalar UUID", "www.rfc-editor.org", "example.org"),)),
    Change(
        "field removed that one function uses",
        (
            (
                "type Deployment",
                "  logs(after: String, before: String, first: Int, last: Int, orderBy: DeploymentLogOrder): DeploymentLogConnection!\n",
                "",
            ),
        ),
    ),
    Change(
        "field that a further page of rollouts has",
        (("type DeploymentRun", "availableReplicas: Int", "availableReplicas: String"),),
        # A new deployment has one rollout. While replicas are to run, the first page is enough.
        unobserved=frozenset({"create_deployment(wait=True)", "start_deployment(wait=True)"}),
    ),
    # Fields that the hosted API did not have
    Change("addition: field removed", (("type Deployment", "  projectId: String!\n", ""),)),
    Change("addition: non-null to nullable", (("type Deployment", "projectId: String!", "projectId: String"),)),
    Change("addition: String to Int", (("type Deployment", "projectId: String!", "projectId: Int!"),)),
    Change(
        "addition: String to an object",
        (("type Deployment", "projectId: String!", "projectId: Project!"),),
        "type Project { id: String }",
    ),
    Change(
        "addition: required argument",
        (("type DeploymentRollout", "deploymentSpecId: UUID", "deploymentSpecId(version: Int!): UUID"),),
    ),
    Change(
        "addition: object to String",
        (
            (
                "type DeploymentSpecData",
                "endpointSecurity: DeploymentSpecEndpointSecurity",
                "endpointSecurity: String",
            ),
        ),
    ),
    Change("addition: field in it removed", (("type DeploymentSpecEndpointSecurity", "  secret: String\n", ""),)),
    Change(
        "addition: removed from a response only",
        (("type DeploymentSpecData", "  healthChecks: DeploymentSpecHealthChecks\n", ""),),
    ),
    Change(
        "addition: removed from an input",
        (("input DeploymentSpecDataInput", "  healthChecks: DeploymentSpecHealthChecksInput\n", ""),),
    ),
    # Fields of responses that the operations do not use
    Change("unused: field removed", (("type Cluster", "  fqdn: String!\n", ""),)),
    Change("unused: non-null to nullable", (("type Cluster", "fqdn: String!", "fqdn: String"),)),
    Change("unused: type changed", (("type Cluster", "fqdn: String!", "fqdn: Int!"),)),
    Change(
        "unused: type removed",
        (
            ("type DeploymentConnection", "  edges: [DeploymentEdge!]!\n", ""),
            ("type DeploymentEdge", "type DeploymentEdge", "type Other"),
        ),
    ),
    Change("unused: field added", (("type DeploymentSpec", "error: String", "error: String\n  region: String!"),)),
    # Arguments
    Change("optional argument added", (("type Query", "deployments(", "deployments(region: String, "),)),
    Change("required argument added", (("type Query", "deployments(", "deployments(region: String!, "),)),
    Change(
        "required argument with a default added",
        (("type Query", "deployments(", 'deployments(region: String! = "eu", '),),
    ),
    Change("used argument removed", (("type Deployment", "clusterId: String, ", ""),)),
    Change("unused argument removed", (("type Query", "before: String, ", ""),)),
    Change("argument: another scalar", (("type Query", "deployment(id: UUID!)", "deployment(id: ID!)"),)),
    Change("argument: nullable to non-null", (("type Query", "projectId: String", "projectId: String!"),)),
    Change(
        "argument: nullable to non-null with a default",
        (("type Query", "projectId: String", 'projectId: String! = "p1"'),),
    ),
    Change(
        "argument: non-null to nullable",
        (("type Deployment", "log(instanceName: String!)", "log(instanceName: String)"),),
    ),
    Change("argument: to a list", (("type Query", "name: String", "name: [String]"),)),
    Change("argument: default added", (("type Query", "first: Int", "first: Int = 5"),)),
    Change("argument: enum value removed", (("enum OrderDirection", "  ASC\n", ""),)),
    Change(
        "argument: input object with a new required field",
        (("input DeploymentSpecOrder", "direction:", "nulls: Boolean!\n  direction:"),),
    ),
    Change(
        "argument: input object with a new optional field",
        (("input DeploymentSpecOrder", "direction:", "nulls: Boolean\n  direction:"),),
    ),
    # Inputs
    Change("input: optional field added", (("input CreateDeploymentInput", "name:", "owner: String\n  name:"),)),
    Change("input: required field added", (("input CreateDeploymentInput", "name:", "owner: String!\n  name:"),)),
    Change(
        "input: required field with a default added",
        (("input CreateDeploymentInput", "name:", 'owner: String! = "me"\n  name:'),),
    ),
    Change(
        "nested input: required field added",
        (("input DeploymentSpecRepositoryInput", "  name:", "  depth: Int!\n  name:"),),
    ),
    Change("input: field removed", (("input DeploymentSpecDataInput", "  port: Int\n", ""),)),
    Change(
        "input: field removed that some functions never send",
        (("input UpdateDeploymentInput", "  name: String\n", ""),),
        unobserved=REVISING | {"apply_deployment"},  # they never send the field, but their inputs allow it
    ),
    Change("input: nullable to non-null", (("input DeploymentSpecDataInput", "port: Int", "port: Int!"),)),
    Change(
        "input: nullable to non-null with a default",
        (("input DeploymentSpecDataInput", "port: Int", "port: Int! = 80"),),
        unobserved=REVISING,  # they leave fields out that are null
    ),
    Change(
        "input: nullable to non-null, always sent",
        (("input DeploymentSpecDataInput", "image: String", "image: String!"),),
    ),
    Change(
        "nested input: nullable to non-null, always sent",
        (
            ("input DeploymentSpecModelInput", "id: String", "id: String!"),
            ("input DeploymentSpecAutoscalingMetricInput", "metric: String", "metric: String!"),
            ("input DeploymentSpecAutoscalingMetricInput", "value: Float", "value: Float!"),
        ),
    ),
    Change("input: non-null to nullable", (("input CreateDeploymentInput", "name: String!", "name: String"),)),
    Change("input: Int to Float", (("input DeploymentSpecResourcesInput", "replicas: Int", "replicas: Float"),)),
    Change("input: Int to String", (("input DeploymentSpecDataInput", "port: Int", "port: String"),)),
    Change("input: Int to ID", (("input DeploymentSpecDataInput", "port: Int", "port: ID"),)),
    Change("input: Float to Int", (("input DeploymentSpecAutoscalingMetricInput", "value: Float", "value: Int"),)),
    Change("input: String to ID", (("input CreateDeploymentInput", "projectId: String!", "projectId: ID!"),)),
    Change("input: String to UUID", (("input CreateDeploymentInput", "projectId: String!", "projectId: UUID!"),)),
    Change("input: UUID to String", (("input DeleteDeploymentInput", "id: UUID!", "id: String!"),)),
    Change(
        "input: list with nullable items",
        (("input DeploymentSpecDataInput", "command: [String!]", "command: [String]"),),
    ),
    Change(
        "input: list to non-null", (("input DeploymentSpecDataInput", "command: [String!]", "command: [String!]!"),)
    ),
    Change(
        "input: list to a single value", (("input DeploymentSpecDataInput", "command: [String!]", "command: String"),)
    ),
    Change(
        "input: single value to a list",
        (("input DeploymentSpecDataInput", "containerRegistry: String", "containerRegistry: [String!]"),),
    ),
    Change(
        "input: list to a list of lists",
        (("input DeploymentSpecDataInput", "command: [String!]", "command: [[String!]!]"),),
    ),
    Change(
        "input: object to a list of objects",
        (
            (
                "input DeploymentSpecDataInput",
                "resources: DeploymentSpecResourcesInput",
                "resources: [DeploymentSpecResourcesInput!]",
            ),
        ),
    ),
    Change("input and response: enum value added", (("enum Protocol", "http2", "http2\n  http3"),)),
    Change(
        "input and response: enum value removed",
        (("enum Protocol", "  http2\n", ""),),
        unobserved=REVISING,  # they send the values that the server returned
    ),
    Change("input: enum to String", (("input DeploymentSpecDataInput", "protocol: Protocol", "protocol: String"),)),
    Change(
        "input: String to an enum",
        (("input DeploymentSpecResourcesInput", "instanceType: String", "instanceType: Machine"),),
        "enum Machine { C4 }",
    ),
    Change("input: type renamed", renamed={"NewDeployment": "CreateDeploymentInput"}),
    Change("nested input: type renamed", renamed={"SpecInput": "DeploymentSpecDataInput"}),
    Change(
        "nested input: @oneOf",
        (
            (
                "input DeploymentSpecResourcesInput",
                "input DeploymentSpecResourcesInput",
                "input DeploymentSpecResourcesInput @oneOf",
            ),
        ),
    ),
    Change(
        "input: field deprecated",
        (("input DeploymentSpecDataInput", "port: Int", 'port: Int @deprecated(reason: "Old.")'),),
    ),
    Change("nothing"),
]
