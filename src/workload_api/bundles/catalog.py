"""Which resource bundles there are (a settings file, or a few usual sizes), and how a runtime takes its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from workload_api.domain.errors import FieldError
from workload_api.domain.memory import parse_memory
from workload_api.settings import SettingsError


def _memory(amount: Any) -> int:
    if isinstance(amount, bool) or not isinstance(amount, int | str):
        raise ValueError("must be an integer of bytes, or text with a unit, as '512MB' or '1.5GiB'")
    return parse_memory(amount)


class Bundle(BaseModel):
    """One resource bundle, as the file names it and as answers show it."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    description: str = ""
    cpu_count: float = Field(gt=0)
    memory_bytes: Annotated[int, BeforeValidator(_memory), Field(gt=0)]
    gpu_count: int = Field(default=0, ge=0)
    gpu_maker: str | None = None
    gpu_type_label: str | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    bundles: list[Bundle] = Field(min_length=1)


def _usual(
    bundle_id: str, name: str, cpu_count: float, memory: str, gpu_count: int = 0, gpu: str | None = None
) -> Bundle:
    with_gpus = f" and {gpu_count} {gpu} GPU{'s' if gpu_count > 1 else ''}" if gpu_count else ""
    return Bundle(
        id=bundle_id,
        name=name,
        description=f"{cpu_count:g} CPU cores, {memory} of memory{with_gpus}.",
        cpuCount=cpu_count,
        memoryBytes=parse_memory(memory),
        gpuCount=gpu_count,
        gpuMaker="nvidia" if gpu else None,
        gpuTypeLabel=gpu,
    )


_USUAL: Final = (
    _usual("cpu.nano", "CPU XXS", 0.5, "512MiB"),
    _usual("cpu.micro", "CPU XS", 1, "1GiB"),
    _usual("cpu.small", "CPU S", 1, "4GiB"),
    _usual("cpu.medium", "CPU M", 2, "8GiB"),
    _usual("cpu.large", "CPU L", 4, "16GiB"),
    _usual("cpu.xlarge", "CPU XL", 8, "32GiB"),
    _usual("gpu.small", "GPU S", 4, "16GiB", 1, "NVIDIA T4"),
    _usual("gpu.large", "GPU L", 8, "64GiB", 1, "NVIDIA A100"),
)


@lru_cache(maxsize=8)
def catalog(file: Path | None) -> tuple[Bundle, ...]:
    """The bundles, in the order of the file. It is read once: a change counts from the next start of the server.

    Args:
        file: The setting BUNDLES_FILE; ``None`` gives the usual sizes.

    Raises:
        SettingsError: The file cannot be read or does not hold bundles; one sentence says what is wrong where.
    """
    if file is None:
        return _USUAL
    try:
        found = _File.model_validate(yaml.safe_load(file.read_text()))
    except OSError as error:
        raise _unusable(file, f"it cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unusable(file, f"it is not YAML ({' '.join(str(error).split())})") from None
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise _unusable(file, f"{where}: {str(problem['msg']).removeprefix('Value error, ')}") from None
    ids = [bundle.id for bundle in found.bundles]
    for bundle_id in ids:
        if ids.count(bundle_id) > 1:
            raise _unusable(file, f"the id {bundle_id!r} stands twice")
    return tuple(found.bundles)


def _unusable(file: Path, why: str) -> SettingsError:
    return SettingsError(f"setting WORKLOAD_API_BUNDLES_FILE: {file}: {why}")


def with_bundles(
    runtime: Mapping[str, Any],
    bundles: Sequence[Bundle],
    location: Sequence[str | int] = ("body", "runtime"),
) -> dict[str, Any]:
    """A runtime, as it is to be stored: each group that names bundles bears the one that was chosen.

    Of those that a group names the first is taken. It is stored with its sizes, so that what was started keeps them
    whatever becomes of the settings file.

    Args:
        runtime: The runtime as it was sent.
        bundles: Those that there are.
        location: Where in the request the runtime stands.

    Raises:
        FieldError: A group names a bundle that there is not.
    """
    known = {bundle.id: bundle for bundle in bundles}
    groups: list[dict[str, Any]] = []
    for number, group in enumerate(runtime.get("containerGroups") or ()):
        names: Sequence[str] = group.get("resourceBundles") or ()
        for place, name in enumerate(names):
            if name not in known:
                raise FieldError(
                    f"There is no resource bundle {name[:100]!r}; there are: {', '.join(known)}.",
                    (*location, "containerGroups", number, "resourceBundles", place),
                    name,
                )
        groups.append({**group, "resolvedBundle": _shown(known[names[0]])} if names else group)
    return {**runtime, "containerGroups": groups} if groups else dict(runtime)


def _shown(bundle: Bundle) -> dict[str, Any]:
    return bundle.model_dump(by_alias=True, exclude={"name", "description"})
