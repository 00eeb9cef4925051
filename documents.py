"""From a YAML file that a person wrote to a checked section; errors name the key and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

DEEPEST = 20
"""How deep the YAML of a recipe may be nested."""

Section = TypeVar("Section", bound=BaseModel)


def parse(
    model: type[Section], document: dict[str, Any], overrides: Iterable[str], source: str
) -> Section:
    """Validate a document after ``overrides``; ``ValueError`` names ``source`` and the key."""
    for override in overrides:
        apply_override(document, override)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise ValueError(f"{source}: {explain(error, model)}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds."""
    try:
        document = load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{path} does not exist: name a recipe, such as those in recipes/"
        ) from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder: name the recipe's YAML file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file: a recipe is YAML in UTF-8") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ValueError(f"{path} is not a recipe: it must be a mapping such as 'system: darts'")
    return document


def load_yaml(text: str) -> Any:
    """What a YAML text holds; ``ValueError`` for aliases and for what is nested deeply.

    A few lines of aliases stand for gigabytes, and an override would change every copy at once;
    a few thousand brackets keep the parser busy for minutes.
    """
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases (*name) are not read; write the value out")
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")
    return yaml.safe_load(text)


def apply_override(document: dict[str, Any], override: str) -> None:
    """Set ``section.key=value`` in ``document``; the value is YAML."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ValueError(f"--set {override}: write it as key=value, such as train.epochs=10")
    try:
        value = load_yaml(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ValueError(f"--set {override}: the value is not YAML; quote it") from None
    *sections, last = key.split(".")
    for section in sections:
        inner = document.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ValueError(f"--set {override}: {section} is not a section of the recipe")
        document = inner
    document[last] = value


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first error of a validation in one sentence, with a near key for an unknown one."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *sections, last = (str(part) for part in first["loc"])
        known = list(keys(model, sections))
        near = difflib.get_close_matches(last, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}"
        return f"unknown key {where!r}; {advice}"
    if first["type"] == "missing":
        return f"key {where!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    if where and not message.startswith(where):
        found = "" if isinstance(first["input"], dict) else f", not {first['input']!r}"
        message = f"{where}: {message}{found}"
    return shorten(message, 300, placeholder=" ...")


def keys(model: type[BaseModel], sections: Iterable[str]) -> Iterator[str]:
    """The keys of the section that ``sections`` lead to."""
    for section in sections:
        inner = model.model_fields[section].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return
        model = inner
    yield from model.model_fields


def flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        inner = flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else None
        flat.update({f"{prefix}{key}": value} if inner is None else inner)
    return flat


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed between two documents, such as ``train.epochs: 10 -> 20``."""
    old, new = flatten(before), flatten(now)
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in changed]
