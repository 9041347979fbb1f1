"""How a workload runs: replicas or autoscaling by container group, resources by container (§4, §12)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, WrapValidator, model_validator

from workload_api.domain.memory import parse_memory
from workload_api.domain.scaling import autoscaling_bounds, policy_bounds
from workload_api.domain.scaling import initial_replicas as initial_replicas
from workload_api.domain.scaling import replica_bounds as replica_bounds
from workload_api.domain.scaling import runtime_as_answered as runtime_as_answered
from workload_api.http.as_sent import Keep
from workload_api.http.models import AbsentOr, DocumentedAs, RequestModel, absent, problem

ScalingMetricType = Literal[
    "cpuAverageUtilization", "httpRequestsConcurrency", "gpuCacheUtilization", "gpuRequestQueueDepth"
]
BundleSelectionPolicy = Literal["availability"]


def _memory(amount: Any, _handler: Any) -> int | None:
    if amount is None:
        return None
    if isinstance(amount, bool) or not isinstance(amount, int | str):
        raise ValueError("An amount of memory is an integer of bytes, or text with a unit, as '512MB' or '1.5GiB'.")
    return parse_memory(amount)


Memory = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^\s*(\d*\.?\d+)\s*(\w+)?")] | None,
    WrapValidator(_memory),
    Keep.VALIDATED,
]
"""An amount of memory, read as bytes."""

Ignored = Annotated[Any, Keep.NOTHING, Field(default=None, deprecated=True, description="Accepted and ignored.")]


class ResourceAllocation(RequestModel):
    """What one container gets."""

    cpu: Annotated[float, Field(ge=0)] | None = Field(default=None, description="CPU cores.")
    memory: Memory = Field(default=None, description="Bytes, or text as `512MB` or `1.5GiB`; bytes in answers.")
    gpu: Annotated[float, Field(ge=0)] | None = Field(default=None, description="GPUs.")
    gpu_memory: Memory = Field(default=None, description="Bytes, or text as `512MB` or `1.5GiB`; bytes in answers.")
    gpu_type: Ignored


class ContainerOverride(RequestModel):
    """What the container of this name gets."""

    name: str
    resource_allocation: ResourceAllocation | None = None
    resource_request: Ignored


class ResolvedBundle(RequestModel):
    """The resource bundle that was chosen."""

    model_config = ConfigDict(extra="allow")

    id: str
    cpu_count: float
    memory_bytes: int
    gpu_count: int = 0
    gpu_maker: str | None = None
    gpu_type_label: str | None = None


class AutoscalingPolicy(RequestModel):
    """One metric and what it should be held at."""

    scaling_metric: ScalingMetricType
    target: float = Field(ge=0)
    min_count: AbsentOr[Annotated[int, Field(ge=0)]] = Field(default_factory=absent)
    max_count: AbsentOr[Annotated[int, Field(ge=0)]] = Field(default_factory=absent)
    priority: int | None = None

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        if self.min_count is not None and self.max_count is not None and self.min_count > self.max_count:
            raise problem(
                f"minCount ({self.min_count}) is greater than maxCount ({self.max_count}).",
                ("minCount",),
                self.min_count,
            )
        return self


class AutoscalingProperties(RequestModel):
    """Scaling by load. Bounds stand in each policy or here; where both are, they must agree."""

    enabled: bool = True
    policies: Annotated[list[AutoscalingPolicy], Keep.EXACTLY] = Field(default_factory=list)
    min_replica_count: Annotated[int, Field(ge=0)] | None = None
    max_replica_count: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        sent = self.model_dump(by_alias=True)
        for own, of_policies, other, bound in (
            (self.min_replica_count, policy_bounds(sent)[0], "minCount", "minReplicaCount"),
            (self.max_replica_count, policy_bounds(sent)[1], "maxCount", "maxReplicaCount"),
        ):
            if own is not None and of_policies is not None and own != of_policies:
                raise problem(
                    f"{bound} ({own}) contradicts the policies, whose {other} comes to {of_policies}; give one.",
                    (bound,),
                    own,
                )
        if not self.enabled:
            return self
        if not self.policies:
            raise problem("Autoscaling that is enabled needs at least one policy.", ("policies",))
        least, most = autoscaling_bounds(sent)
        if least > most:
            raise problem(
                f"The least number of replicas ({least}) is greater than the greatest ({most}).",
                ("maxReplicaCount",),
                self.max_replica_count,
            )
        if most < 1:
            raise problem("The greatest number of replicas must be at least 1.", ("maxReplicaCount",), most)
        return self


class GroupRuntime(RequestModel):
    """How the container group of this name runs."""

    name: str = "default"
    replica_count: Annotated[int, Field(ge=1)] | None = Field(
        default=1, description="Not beside autoscaling that is enabled."
    )
    autoscaling: AutoscalingProperties | None = None
    containers: list[ContainerOverride] = Field(default_factory=list)
    resource_bundles: Annotated[list[str], Keep.EXACTLY] = Field(default_factory=list)
    bundle_selection_policy: BundleSelectionPolicy = "availability"
    resolved_bundle: Annotated[ResolvedBundle | None, Keep.NOTHING] = Field(
        default=None, description="Which bundle was chosen; ignored in requests."
    )

    def unfilled(self) -> frozenset[str]:
        """Beside autoscaling no ``replicaCount`` is filled in: it would say another thing than the bounds."""
        scaled = self.autoscaling is not None and self.autoscaling.enabled
        return frozenset({"replica_count"}) if scaled else frozenset()

    @model_validator(mode="after")
    def _keeps_the_rules(self) -> Self:
        if self.unfilled() and "replica_count" in self.model_fields_set and self.replica_count is not None:
            raise problem(
                "replicaCount does not go with autoscaling that is enabled; leave one of them out.",
                ("replicaCount",),
                self.replica_count,
            )
        _refuse_twins([container.name for container in self.containers], "containers")
        return self


class WorkloadRuntime(RequestModel):
    """How a workload runs. Groups and containers that it does not name run with the defaults."""

    container_groups: list[GroupRuntime] = Field(default_factory=list)
    enclaves: Annotated[list[str] | None, Keep.EXACTLY] = Field(default=None, description="Kept, without effect.")
    enclave_selection_policy: str | None = Field(default=None, description="Kept, without effect.")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _refuse_twins([group.name for group in self.container_groups], "containerGroups")
        return self


RuntimeAsAnswered = Annotated[dict[str, Any], DocumentedAs(WorkloadRuntime)]
"""A stored runtime in an answer: given as it is (see :func:`runtime_as_answered`), documented by its model."""


def _refuse_twins(names: list[str], where: str) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            noun = {"containers": "containers", "containerGroups": "container groups"}[where]
            raise problem(f"Two {noun} of the runtime have the name {name!r}.", (where, number, "name"), name)
