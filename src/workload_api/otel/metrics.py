"""What is measured of a workload without its help: its replicas, what they use, how often they were restarted."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import ProtonRow, ProtonUsageRow, WorkloadRow
from workload_api.domain.scaling import initial_replicas
from workload_api.otel.schemas import AutocollectedValue
from workload_api.protons.observations import restarts_of


async def autocollected_values(session: AsyncSession, workload: WorkloadRow) -> list[AutocollectedValue]:
    """The metrics of a workload's active proton as last seen; zeros while nothing of it runs."""
    statement = (
        select(ProtonRow, ProtonUsageRow)
        .join(ProtonUsageRow, ProtonUsageRow.proton_id == ProtonRow.id, isouter=True)
        .where(ProtonRow.id == workload.proton_id)
    )
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        return _values(0, 0, 0, None)
    proton, usage = found
    runs = any(c["status"] == "running" for replica in proton.replicas or () for c in replica["containers"])
    return _values(
        _desired(proton),
        sum(1 for replica in proton.replicas or () if replica["ready"]),
        sum(restarts_of(proton.replicas).values()),
        usage if runs else None,
    )


def _desired(proton: ProtonRow) -> int:
    if proton.desired_state != "running":
        return 0
    overrides = {group.get("name", "default"): group for group in proton.runtime.get("containerGroups") or ()}
    groups = proton.spec.get("containerGroups") or ()
    return sum(initial_replicas(overrides.get(group.get("name", "default"), {})) for group in groups)


def _values(desired: int, ready: int, restarts: int, usage: ProtonUsageRow | None) -> list[AutocollectedValue]:
    found = [
        _value("workload.replicas.ready", "Ready replicas", ready, "replicas"),
        _value("workload.replicas.desired", "Desired replicas", desired, "replicas"),
        _value("container.cpu.usage", "CPU usage", usage.cpu_nanocores if usage else 0, "nanocores"),
        _value("container.memory.usage", "Memory usage", usage.memory_bytes if usage else 0, "bytes"),
        _value("container.restarts", "Restarts", restarts, "restarts"),
    ]
    if usage is not None:
        for name, shown, count in (
            ("container.network.receive", "Network received", usage.network_received_bytes),
            ("container.network.transmit", "Network sent", usage.network_sent_bytes),
        ):
            if count is not None:
                found.append(_value(name, shown, count, "bytes"))
    return found


def _value(name: str, shown: str, value: int, unit: str) -> AutocollectedValue:
    return AutocollectedValue(otel_name=name, display_name=shown, current_value=value, unit=unit, level="workload")
