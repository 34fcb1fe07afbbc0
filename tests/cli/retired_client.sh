#!/bin/sh
# The documented calls of the retired command, as a script of its time would have them. It needs `gradient` on the PATH,
# PAPERSPACE_API_KEY and PAPERSPACE_API_HOST in the environment, and the spec in mnist.yaml where it is run.

gradient version
gradient deployments list

created=$(gradient deployments create --name mnist --projectId p1 --spec mnist.yaml)
echo "$created"
id=${created#Created deployment: }

gradient deployments create --name fashion --projectId p1 --spec mnist.yaml --clusterId c1 --apiKey "$PAPERSPACE_API_KEY"
gradient deployments list --projectId p1 | grep -c tensorflow
gradient deployments list --name mnist --projectId p1 --clusterId c1
gradient deployments list --name mnist | grep -o "$id" | head -n 1

gradient deployments update --id "$id" --name digits --projectId p1 --spec mnist.yaml --clusterId c1
gradient deployments get --id "$id" | grep '"name"'
gradient deployments get --id "$id" --apiKey "$PAPERSPACE_API_KEY" | python3 -c '
import json, sys
deployment = json.load(sys.stdin)
print(len(deployment["deploymentSpecs"]), deployment["deploymentSpecs"][0]["data"]["image"])'

gradient deployments get --id "$id" | python3 -c '
import json, sys
revisions = json.load(sys.stdin)["deploymentSpecs"]
print(sorted(revisions[-1]["deploymentRuns"][0]["deploymentRunInstances"][0]))'

gradient deployments delete --id "$id"
gradient deployments get --id "$id"
echo "get: $?"
gradient deployments delete --id "$id"
echo "delete: $?"
gradient deployments create --name fashion --projectId p1 --spec mnist.yaml
echo "create: $?"

gradient apiKey "$PAPERSPACE_API_KEY"
unset PAPERSPACE_API_KEY
gradient deployments list --name digits
gradient logout
gradient deployments list
echo "list: $?"
