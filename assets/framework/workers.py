"""Workers for the shards of a model stage: the profile's section [engine], or the configuration of the asset."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from assets.framework.errors import RequestError
from assets.framework.profile import EngineProfile

if TYPE_CHECKING:
    from probes.workers import EngineSettings


def config_schema() -> dict[str, Any]:
    """What the launchpad offers for a stage whose shards can be spread; what is left out comes from the profile."""
    import dagster as dg

    kinds: dict[str, Any] = {
        "kind": str,
        "workers": int,
        "threads": dg.Noneable(int),
        "cpus_per_worker": float,
        "shard_limit_s": dg.Noneable(float),
        "attempts": int,
        "address": dg.Noneable(str),
    }
    said = {name: field.description for name, field in EngineProfile.model_fields.items()}
    return {name: dg.Field(kind, is_required=False, description=said[name]) for name, kind in kinds.items()}


def engine_settings(profile: EngineProfile, override: dict[str, Any] | None = None) -> EngineSettings:
    """Settings of the engine: the profile's, and over them those of the asset's configuration.

    Raises:
        RequestError: a value makes no sense, or Ray is asked for and not installed.
    """
    from importlib.util import find_spec

    from probes.workers import EngineSettings

    try:
        chosen = EngineProfile.model_validate(profile.model_dump() | (override or {}))
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(f"the engine's {first['loc'][0]} is wrong ({first['msg']}); correct it.") from error
    if chosen.kind == "ray" and find_spec("ray") is None:
        raise RequestError(
            "the engine ray needs Ray, which is not installed; run `pip install rarecall[ray]` or choose local."
        )
    values = chosen.model_dump()
    return EngineSettings(threads_per_worker=values.pop("threads"), **values)


def engine_of(profile: Any) -> EngineSettings:
    """The profile's engine, for work within a stage. It is in no key, and any stage may ask: it changes no row."""
    return engine_settings(getattr(profile, "_settings", profile).engine)


def spread_shards(
    here: Any, elsewhere: Callable[[], Any], shards: Sequence[int], settings: EngineSettings | None
) -> Generator[tuple[int, Any], None, None]:
    """(shard, frames) as shards finish: in this process, or on the workers of an engine.

    Args:
        here: an object with `compute(shard)`, for this process.
        elsewhere: makes such an object in a worker; a module-level function or a partial of one.
        shards: indices of shards to compute.
        settings: None means this process.
    """
    from probes.workers import EngineSettings, run_shards

    settings = settings or EngineSettings()
    setup = partial(_same, here) if settings.is_this_process else elsewhere
    for index, frames in run_shards(setup, _compute, shards, settings):
        yield shards[index], frames


def _same(thing: Any) -> Any:
    return thing


def _compute(shards: Any, shard: int) -> Any:
    return shards.compute(shard)
