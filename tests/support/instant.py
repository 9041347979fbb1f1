"""A runtime in memory whose replicas are ready at once: for tests of everything but the runtime."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from workload_api.clock import utc_now
from workload_api.runtimes.protocol import (
    Condition,
    ContainerObservation,
    LogLine,
    ProtonObservation,
    ProtonSpec,
    ReplicaObservation,
)


class InstantRuntime:
    """Follows the protocol of :class:`workload_api.runtimes.protocol.Runtime`.

    Attributes:
        faulty: Protons that can never run.
    """

    name = "instant"

    def __init__(self) -> None:
        self.faulty: set[str] = set()
        self._applied: dict[str, ProtonSpec] = {}

    async def start(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def apply(self, proton: ProtonSpec) -> None:
        """Its replicas are there from now on."""
        self._applied[proton.proton_id] = proton

    async def observe(self, proton_ids: Collection[str]) -> dict[str, ProtonObservation]:
        """All replicas of what was applied are ready."""
        return {each: self._observe(each) for each in proton_ids}

    def _observe(self, proton_id: str) -> ProtonObservation:
        proton = self._applied.get(proton_id)
        if proton_id in self.faulty:
            return ProtonObservation(proton_id, (), "it cannot run")
        if proton is None:
            return ProtonObservation(proton_id, ())
        now = utc_now()
        return ProtonObservation(
            proton_id,
            tuple(
                ReplicaObservation(
                    name=f"{proton_id}-{group.name}-{index}",
                    group=group.name,
                    index=index,
                    generation=proton.generation,
                    phase="running",
                    ready=True,
                    address="127.0.0.1:9",
                    node_address="127.0.0.1",
                    started_at=now,
                    containers=tuple(
                        ContainerObservation(container.name, "running", True, container.image or "")
                        for container in group.containers
                    ),
                    conditions=(Condition("Ready", True, now),),
                )
                for group in proton.groups
                for index in range(group.replica_count)
            ),
        )

    async def remove(self, proton_id: str, grace_seconds: float) -> None:
        """Its replicas are gone."""
        self._applied.pop(proton_id, None)

    async def release(self, proton_id: str) -> None:
        """Nobody looks after anything here."""

    async def forget(self, proton_id: str) -> None:
        """There is no output."""

    async def known(self) -> frozenset[str]:
        """What was applied."""
        return frozenset(self._applied)

    async def logs(self, proton_id: str, after: Mapping[str, str], limit: int) -> list[LogLine]:
        """There is no output."""
        return []

    async def tail(self, proton_id: str, lines: int = 30) -> list[str]:
        """There is no output."""
        return []
