"""The recipe: what is wrong is named in one line, with the key, the file and the remedy."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from documents import differences, flatten
from recipe import FormatName, Recipe, SystemName
from sections import SIZES, DataName, RuntimeName

SECTIONS = {
    name: field.annotation
    for name, field in Recipe.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
LEAST: dict[str, Any] = {"system": "darts", "out": "runs/a"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recipe.yaml"


def load(path: Path, text: str, *overrides: str) -> Recipe:
    path.write_text(text)
    return Recipe.load(path, overrides)


def refusal(path: Path, document: object, *overrides: str) -> str:
    """The sentence with which a recipe is refused: one line that names the file."""
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    with pytest.raises(ValueError, match=r"recipe\.yaml|--set") as caught:
        load(path, text, *overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def test_the_least_recipe_has_every_default(path: Path) -> None:
    recipe = load(path, "system: darts\nout: runs/a\n")
    assert set(recipe.document()) == set(Recipe.model_fields)
    assert recipe.document()["search"]["epochs"] == 8
    assert set(SECTIONS) == {"data", "search", "train", "export", "bench", "compute", "track"}


def test_what_is_shown_is_a_recipe(path: Path) -> None:
    recipe = load(path, yaml.safe_dump(LEAST), "train.crop=[64, 96]", "data.classes=[a, b]")
    again = load(path, recipe.to_yaml())
    assert again == recipe
    assert json.loads(json.dumps(recipe.document())) == recipe.document()


@pytest.mark.parametrize("section", ["", *SECTIONS])
def test_an_unknown_key_is_refused_with_the_near_one(path: Path, section: str) -> None:
    model = SECTIONS[section] if section else Recipe
    assert model is not None
    known = next(iter(model.model_fields))
    wrong = known + "s"
    document = {**LEAST, section: {wrong: 1}} if section else {**LEAST, wrong: 1}
    message = refusal(path, document)
    assert f"unknown key '{section}{'.' if section else ''}{wrong}'" in message
    assert f"did you mean {known!r}?" in message


@pytest.mark.parametrize("section", ["", *SECTIONS])
def test_an_unknown_key_without_a_near_one_lists_the_keys(path: Path, section: str) -> None:
    model = SECTIONS[section] if section else Recipe
    assert model is not None
    document = {**LEAST, section: {"qqq": 1}} if section else {**LEAST, "qqq": 1}
    assert f"choose from {', '.join(model.model_fields)}" in refusal(path, document)


@pytest.mark.parametrize("key", ["system", "out"])
def test_a_missing_key_is_named(path: Path, key: str) -> None:
    document = {name: value for name, value in LEAST.items() if name != key}
    assert f"recipe.yaml: key '{key}' is missing" in refusal(path, document)


WRONG = {
    "text for a number": ("train.epochs", "ten"),
    "digits in quotes": ("train.epochs", "10"),
    "yes for a number": ("train.epochs", True),
    "half an epoch": ("train.epochs", 1.5),
    "zero epochs": ("train.epochs", 0),
    "nothing for a number": ("train.epochs", None),
    "a mapping for a number": ("seed", {"a": 1}),
    "a list for a number": ("seed", [1, 2]),
    "a number too large": ("seed", 2**31),
    "a number for a text": ("data.images", 3),
    "another system": ("system", "resnet"),
    "another device": ("compute.device", "tpu"),
    "one length for two": ("data.size", 256),
    "three lengths": ("data.size", [256, 256, 3]),
    "a length too small": ("data.size", [16, 256]),
    "a rate of zero": ("search.lr", 0),
    "a rate without bounds": ("search.lr", float("inf")),
    "a rate that is no number": ("search.lr", float("nan")),
    "a batch of one": ("search.batch", 1),
    "sizes that are a list": ("search.sizes", [4]),
    "a size of zero": ("search.sizes", {"width": 0}),
    "a size of another name": ("train.sizes", {"widht": 4}),
    "colour of 1": ("train.colour", 1.0),
    "a list for a section": ("train", [1]),
    "nothing for a section": ("train", None),
    "a number for a path": ("out", 7),
}


@pytest.mark.parametrize(("key", "value"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_named_with_its_key(path: Path, key: str, value: object) -> None:
    first, _, second = key.partition(".")
    document = {**LEAST, first: {second: value} if second else value}
    message = refusal(path, document)
    assert message.startswith(f"{path}: {key}")


def test_what_contradicts_is_refused(path: Path) -> None:
    message = refusal(path, {**LEAST, "search": {"epochs": 3, "warmup": 3}})
    assert "search.warmup must be below search.epochs" in message
    message = refusal(path, {**LEAST, "search": {"epochs": 4, "warmup": 1, "context_epochs": 3}})
    assert "search.warmup and search.context_epochs must leave one of search.epochs" in message
    assert "data.root is needed" in refusal(path, {**LEAST, "data": {"name": "camvid"}})


def test_overrides_reach_every_depth_and_are_yaml(path: Path) -> None:
    recipe = load(
        path,
        yaml.safe_dump({**LEAST, "train": {"epochs": 3}}),
        "seed=7",
        "train.epochs=5",
        "train.epochs=6",
        "train.lr=1e-3",
        "search.sizes.width=12",
        "data.size=[64, 96]",
        "search.crop=null",
        "out=a=b",
    )
    assert (recipe.seed, recipe.train.epochs, recipe.train.lr) == (7, 6, 1e-3)
    assert recipe.search.sizes == {"width": 12}
    assert (recipe.data.size, recipe.search.crop) == ((64, 96), None)
    assert recipe.out == Path("a=b")


BAD_OVERRIDES = {
    "no equals": ("train.epochs", "write it as key=value, such as train.epochs=10"),
    "no key": ("=3", "write it as key=value"),
    "not YAML": ("train.epochs=[1", "the value is not YAML; quote it"),
    "no such day": ("out=2001-99-99", "the value is not YAML; quote it"),
    "a tag": ("out=!!python/object/apply:os.getcwd []", "the value is not YAML"),
    "deeper than the recipe": ("seed.more=3", "seed is not a section"),
    "a typing error": ("train.epoch=3", "unknown key 'train.epoch'; did you mean 'epochs'?"),
    "a section of its own": ("tain.epochs=3", "unknown key 'tain'; did you mean 'train'?"),
    "a wrong value": ("train.epochs=ten", "train.epochs"),
    "huge nesting": ("out=" + "[" * 5000, "the value is not YAML"),
}


@pytest.mark.parametrize(("override", "message"), BAD_OVERRIDES.values(), ids=BAD_OVERRIDES)
def test_a_bad_override_is_named(path: Path, override: str, message: str) -> None:
    document = {**LEAST, "seed": 1}
    with pytest.raises(ValueError, match=r".") as caught:
        load(path, yaml.safe_dump(document), override)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


NO_RECIPE = {
    "nothing": ("", "it must be a mapping such as 'system: darts'"),
    "a list": ("[1, 2]", "it must be a mapping"),
    "a text": ("darts", "it must be a mapping"),
    "two documents": ("a: 1\n---\nb: 2\n", "is not YAML"),
    "not closed": ("system: [darts", "is not YAML"),
    "a tab": ("data:\n\tsize: 3", "is not YAML"),
    "a control character": ("system: \x01", "is not YAML"),
    "huge nesting": ("a: " + "[" * 5000, "is not YAML"),
    "no such day": ("seed: 2001-99-99", "is not YAML"),
    "a huge number": ("seed: " + "1" * 10_000, "is not YAML"),
    "an object of Python": ("system: !!python/object/apply:os.system ['true']", "is not YAML"),
    "a tag": ("system: !mine 3", "is not YAML"),
    "an alias": ("system: darts\nout: &o runs/a\ndata: {root: *o}", "aliases (*name)"),
    "an endless list": ("system: &a [*a]\nout: b", "aliases (*name)"),
    "a list for a key": ("? [a, b]\n: c", "is not YAML"),
    "a number for a key": ("system: darts\nout: a\n1: 2", "1"),
}


@pytest.mark.parametrize(("text", "message"), NO_RECIPE.values(), ids=NO_RECIPE)
def test_what_is_no_recipe_is_refused(path: Path, text: str, message: str) -> None:
    assert message in refusal(path, text)


def test_a_billion_laughs_are_not_heard(path: Path) -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    start = time.monotonic()
    assert "aliases (*name) are not read" in refusal(path, "\n".join(lines))
    assert time.monotonic() - start < 2


def test_a_value_of_many_words_is_cut_short(path: Path) -> None:
    assert "seed" in refusal(path, {**LEAST, "seed": ["word"] * 10_000})


def test_a_key_of_two_lines_is_one_line(path: Path) -> None:
    assert "width" in refusal(path, {**LEAST, "search": {"sizes": {"a\nwidth": 0}}})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.yaml does not exist: name a recipe"):
        Recipe.load(tmp_path / "nowhere.yaml")
    with pytest.raises(ValueError, match="is a folder: name the recipe's YAML file"):
        Recipe.load(tmp_path)
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ValueError, match=r"picture\.yaml is not a text file"):
        Recipe.load(tmp_path / "picture.yaml")


def test_a_recipe_cannot_be_changed(path: Path) -> None:
    recipe = load(path, yaml.safe_dump(LEAST))
    with pytest.raises(ValueError, match="frozen"):
        setattr(recipe, "seed", 3)  # noqa: B010


def test_the_names_in_a_recipe_are_those_there_are() -> None:
    from export.formats.catalogue import FORMATS
    from export.runtimes import RUNTIMES
    from searcher.data.catalogue import DATA_SETS
    from searcher.systems import SYSTEMS

    assert set(get_args(SystemName)) == {*SYSTEMS, "given"}
    assert set(get_args(DataName)) == set(DATA_SETS)
    assert set(get_args(RuntimeName)) <= set(RUNTIMES)
    assert get_args(FormatName) == tuple(FORMATS)


def test_the_sizes_in_a_recipe_are_those_that_families_read() -> None:
    from models.families import FAMILIES

    read = {size for family in FAMILIES.values() for size in family.SIZES}
    found = {"widths", "decoder", "grain"}
    assert set(SIZES) == read - found, "these are those of a genotype"


def test_layers_of_a_search_have_a_key_of_their_own(path: Path) -> None:
    assert "set search.layers" in refusal(path, {**LEAST, "search": {"sizes": {"layers": 8}}})
    path.write_text(yaml.safe_dump({**LEAST, "train": {"sizes": {"layers": 20}}}))
    assert Recipe.load(path).train.sizes == {"layers": 20}


LEAF = st.integers() | st.text(max_size=3) | st.booleans() | st.lists(st.integers(), max_size=2)
NAME = st.text("abc", min_size=1, max_size=2)
DOCUMENT = st.dictionaries(NAME, LEAF | st.dictionaries(NAME, LEAF, min_size=1, max_size=3))


@given(DOCUMENT, DOCUMENT)
def test_differences_are_none_only_for_equal_documents(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert differences(one, json.loads(json.dumps(one))) == []
    assert bool(differences(one, other)) == (flatten(one) != flatten(other))


def test_differences_are_named_by_dotted_keys() -> None:
    before = {"a": {"b": 1, "c": 2}, "gone": 3}
    now = {"a": {"b": 4, "c": 2}, "new": 5}
    assert differences(before, now) == ["a.b: 1 -> 4", "gone: 3 -> None", "new: None -> 5"]


@pytest.mark.parametrize(
    ("system", "search", "message"),
    [
        ("darts", {"cost": {}}, "search.cost means nothing to system 'darts': .* cas, gas"),
        ("gas", {"order": 2}, "search.order: 2 means nothing to system 'gas'"),
    ],
)
def test_what_a_system_would_not_hear_is_refused(
    system: str, search: dict[str, object], message: str
) -> None:
    document = {"system": system, "out": "runs/x"}
    with pytest.raises(ValueError, match=message):
        Recipe.model_validate({**document, "search": search})
    assert Recipe.model_validate({**document, "system": "cas", "search": search})


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"cost": {"measure": True, "metric": "latency"}}, "needs metric latency and a budget"),
        ({"cost": {"measure": True, "metric": "macs", "budget": 1}}, "needs metric latency and"),
        (
            {"cost": {"measure": True, "metric": "latency", "budget": 6}},
            "times finalists: set search.finalists too",
        ),
        (
            {
                "cost": {"measure": True, "metric": "latency", "budget": 6},
                "finalists": 2,
                "strategy": "random",
            },
            "search.cost.measure means nothing where search.strategy trains",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(search: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe.model_validate({"system": "realtime", "out": "runs/x", "search": search})


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"parents": ["a.json", "b.json"]}, "search.parents are for search.strategy: evolution"),
        ({"parents": ["a.json"], "strategy": "evolution"}, "search.parents: name two networks"),
        (
            {"parents": ["a.json", "b.json"], "strategy": "evolution"},
            "search.parents means nothing to system 'darts': .* realtime",
        ),
    ],
)
def test_parents_without_children_are_refused(search: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe.model_validate({"system": "darts", "out": "runs/x", "search": search})
