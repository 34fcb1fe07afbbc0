"""What a spec means: with the values of the fields that it does not set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.nulls import without_nulls
from paperspace.gradient._shared.spec_rules import DEFAULT_MAX_REPLICAS, DEFAULT_REPLICAS, DEFAULT_SUMMARY

if TYPE_CHECKING:
    from collections.abc import Mapping


def effective(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a spec as clients read it: with the defaults of non-null fields, and without fields that are null.

    So a spec that a client has read and sends back is equal to the one before.
    """
    spec = without_nulls(data)
    resources = {"replicas": DEFAULT_REPLICAS, **spec.get("resources", {})}
    if "autoscaling" in resources:
        autoscaling = {"maxReplicas": DEFAULT_MAX_REPLICAS, "metrics": [], **resources["autoscaling"]}
        metrics = [{"summary": DEFAULT_SUMMARY, **metric} for metric in autoscaling["metrics"]]
        resources["autoscaling"] = {**autoscaling, "metrics": metrics}
    return {**spec, "resources": resources}
