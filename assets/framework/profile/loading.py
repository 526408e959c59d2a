"""Loading of profiles: built-in ones of `assets/profiles`, TOML files, registered corpora; and their sizes."""

from __future__ import annotations

import os
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from assets.framework.errors import RequestError
from assets.framework.profile.settings import Profile
from warehouse.home import Home
from warehouse.registrations import registered, registration


def built_in_profiles() -> list[str]:
    """Names of the profiles that come with rarecall."""
    return sorted(
        f.name.removesuffix(".toml") for f in files("assets").joinpath("profiles").iterdir() if f.name.endswith(".toml")
    )


def default_profile() -> str:
    """The profile where nobody names one."""
    return os.environ.get("RARECALL_PROFILE") or "quickstart"


def load_profile(name: str | None = None, home: Home | None = None) -> Profile:
    """A built-in profile by name, a TOML file by path, or the defaults over a registered corpus by its name.

    Without a name `$RARECALL_PROFILE`, else quickstart. `paper:quick` is the profile `paper` with what its section
    `[sizes.quick]` changes. A profile that names a corpus but no source takes what was registered under that name in
    the home.

    Raises:
        RequestError: there is no such profile or size, or a value in it is wrong.
    """
    name = name or default_profile()
    try:
        return Profile.model_validate(_with_registered_corpus(_sized_profile(name, home), home))
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"profile {name} is not valid TOML ({error}); correct the file.") from error
    except UnicodeDecodeError as error:
        raise RequestError(
            f"profile {name} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8."
        ) from error
    except ValidationError as error:
        raise RequestError(f"profile {name}: {_first_complaint(error)}; correct it in the profile.") from error


def _first_complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"there is no setting {where}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where} is wrong ({message})" if where else message


def _sized_profile(name: str, home: Home | None) -> dict[str, Any]:
    """The profile without its sizes, changed to the one that is asked for."""
    base, _, size = (name, "", "") if Path(name).is_file() else name.partition(":")
    raw = _raw_profile(base, home)
    sizes = raw.pop("sizes", {})
    if size and size not in sizes:
        known = f"it has {', '.join(sizes)}" if sizes else "it has none"
        raise RequestError(f"profile {base} has no size {size!r}; {known}.")
    return _changed(raw, sizes[size]) if size else raw


def _changed(raw: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged; lists of tables by their order, since a size says less and not otherwise."""
    merged = dict(raw)
    for key, value in changes.items():
        old = raw.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            merged[key] = _changed(old, value)
        elif isinstance(value, list) and isinstance(old, list) and value and isinstance(value[0], dict):
            merged[key] = [_changed(one, change) for one, change in zip(old, value, strict=True)]
        else:
            merged[key] = value
    return merged


def _raw_profile(name: str, home: Home | None) -> dict[str, Any]:
    if name in built_in_profiles():
        return tomllib.loads(files("assets").joinpath("profiles", f"{name}.toml").read_text(encoding="utf-8"))
    path = Path(name).expanduser()
    if path.suffix == ".toml" and path.is_file():
        return tomllib.loads(path.read_text(encoding="utf-8"))
    if name in registered(home or Home.locate(), "corpora"):
        return {"name": name, "corpus": {"corpus_id": name}}
    raise RequestError(
        f"there is no profile {name!r}; use one of {', '.join(built_in_profiles())}, the path of a .toml file, or a "
        "corpus of `rarecall corpus list`."
    )


def _with_registered_corpus(raw: dict[str, Any], home: Home | None) -> dict[str, Any]:
    """The profile with what was registered of its corpus, where it names no source of its own."""
    corpus = raw.get("corpus")
    if not isinstance(corpus, dict) or "source" in corpus or "corpus_id" not in corpus:
        return raw
    return {**raw, "corpus": {**registration(home or Home.locate(), "corpora", str(corpus["corpus_id"])), **corpus}}
