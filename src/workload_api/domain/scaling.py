"""How many replicas a container group's runtime asks for (§4, §12).

A group is the JSON object that a client sent. Autoscaling's bounds come in two spellings: in each policy (``minCount``,
``maxCount``) or on ``autoscaling`` (``minReplicaCount``, ``maxReplicaCount``). Several policies are obeyed together:
each asks for a number within its own bounds and the highest is taken, so the highest bounds count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def policy_bounds(autoscaling: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The lower and the upper bound that the policies name together; ``None`` where no policy names one."""
    policies = autoscaling.get("policies") or ()
    low = [policy["minCount"] for policy in policies if policy.get("minCount") is not None]
    high = [policy["maxCount"] for policy in policies if policy.get("maxCount") is not None]
    return max(low, default=None), max(high, default=None)


def autoscaling_bounds(autoscaling: Mapping[str, Any], otherwise: int = 1) -> tuple[int, int]:
    """The bounds that an ``autoscaling`` object means, in whichever spelling.

    Args:
        autoscaling: The object as it was sent.
        otherwise: The number of replicas where it names no bound.

    Returns:
        The least and the greatest number of replicas. Without an upper bound nothing is scaled up.
    """
    policy_low, policy_high = policy_bounds(autoscaling)
    low, high = autoscaling.get("minReplicaCount"), autoscaling.get("maxReplicaCount")
    low = policy_low if low is None else low
    high = policy_high if high is None else high
    least: int = otherwise if low is None else low
    return least, max(least, otherwise) if high is None else high


def is_autoscaled(group: Mapping[str, Any]) -> bool:
    """Whether a group asks for autoscaling; one that is sent with ``enabled: false`` does not."""
    autoscaling = group.get("autoscaling")
    return autoscaling is not None and bool(autoscaling.get("enabled", True))


def replica_bounds(group: Mapping[str, Any]) -> tuple[int, int]:
    """The least and the greatest number of replicas of a group; the same number twice without autoscaling."""
    if is_autoscaled(group):
        return autoscaling_bounds(group["autoscaling"])
    count = _fixed_count(group)
    return count, count


def initial_replicas(group: Mapping[str, Any]) -> int:
    """How many replicas a group starts with: what it asks for, one where it says nothing or could scale to none."""
    return max(replica_bounds(group)[0], 1)


def runtime_as_answered(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A runtime as answers show it: as it was sent, with ``minReplicaCount`` and ``maxReplicaCount`` always there.

    Args:
        stored: The runtime as it was stored; it is not changed.
    """
    if not stored.get("containerGroups"):
        return dict(stored)
    return {**stored, "containerGroups": [_group_as_answered(group) for group in stored["containerGroups"]]}


def _group_as_answered(group: dict[str, Any]) -> dict[str, Any]:
    autoscaling = group.get("autoscaling")
    if autoscaling is None:
        return group
    least, most = autoscaling_bounds(autoscaling, 1 if is_autoscaled(group) else _fixed_count(group))
    return {**group, "autoscaling": {**autoscaling, "minReplicaCount": least, "maxReplicaCount": most}}


def _fixed_count(group: Mapping[str, Any]) -> int:
    return int(group.get("replicaCount") or 1)
