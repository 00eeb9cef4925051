"""An architecture on one page: what 'segnas show' says of a genotype, before it is trained."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zoo
from console import following, say, table, wrote
from lengths import parse_size
from models import published
from models.genotype import Genotype, Size

if TYPE_CHECKING:
    from models.anatomy import Anatomy

NETWORKS = ("train/network.json", "network.json")
"""Where the folder of a run, of a training or of a bundle keeps its network."""
GENOTYPE = "search/genotype.json"
PICTURES = Path("runs/architectures")
"""Where a drawing goes that was not told where to go."""


@dataclass(frozen=True)
class Subject:
    """A genotype, and what is known of its use."""

    name: str
    genotype: Genotype
    classes: int | None = None
    size: tuple[int, int] | None = None
    """Height and width of an image."""
    source: str = ""


@dataclass(frozen=True)
class Asked:
    """What is not left to the architecture."""

    classes: int | None = None
    size: str | None = None
    """Of an image, ``HEIGHTxWIDTH``."""
    to: Path | None = None
    """A PNG to draw it to."""


def json_path(wanted: bool, named: Path | None) -> str | None:
    """Where JSON goes: to the file that is ``named`` after --json, or is printed."""
    if named and not wanted:
        raise ValueError(f"{named}: one thing is shown at a time")
    return str(named or "-") if wanted else None


def find(what: Path) -> Subject | None:
    """What ``published/NAME``, ``zoo:NAME``, a JSON file or a run's folder holds.

    Nothing for a recipe.  ``ValueError`` names the file or the name that is wrong.
    """
    if (folder := zoo.folder_of(what)) != what:
        return replace(in_file(folder / NETWORKS[1]), name=str(what), size=size_of(folder))
    if what.is_dir():
        return in_folder(what)
    if not what.is_file() and str(what).startswith(published.PREFIX):
        found = published.load(str(what))
        return Subject(str(what), found.genotype, found.classes, found.size, found.source)
    return in_file(what) if what.suffix == ".json" else None


def in_folder(folder: Path) -> Subject | None:
    """The network of a run, or else the genotype that it found, at the size of its recipe."""
    names = [name for name in (*NETWORKS, GENOTYPE) if (folder / name).is_file()]
    if not names:
        return None
    return replace(in_file(folder / names[0]), size=size_of(folder))


def size_of(folder: Path) -> tuple[int, int] | None:
    """What a run's recipe says of its images, or a bundle of what it reads."""
    if (folder / "recipe.yaml").is_file():
        from recipe import Recipe

        return Recipe.load(folder / "recipe.yaml").data.size
    if (folder / "manifest.json").is_file():
        from export.bundle import Bundle

        return Bundle.load(folder).manifest.size
    return None


def in_file(path: Path) -> Subject:
    """A genotype, or a network with its number of classes."""
    if path.name != "network.json":
        return Subject(str(path), Genotype.load(path))
    from models.weights import load_network

    network = load_network(path)
    return Subject(str(path), network.genotype, network.num_classes)


def resized(subject: Subject, overrides: Iterable[str]) -> Subject:
    """With other sizes, each ``sizes.NAME=N``, or ``sizes.NAME=N,N`` where one lists several."""
    sizes: dict[str, Size] = {}
    for override in overrides:
        key, _, value = override.partition("=")
        section, _, name = key.partition(".")
        if section != "sizes" or not name:
            raise ValueError(f"--set {override}: only a size can be set, as in sizes.width=32")
        sizes[name] = size_value(override, value, tuple_like=name in plural(subject.genotype))
    return replace(subject, genotype=subject.genotype.resized(**sizes))


def plural(genotype: Genotype) -> set[str]:
    """The sizes that are lists."""
    return {name for name, value in genotype.sizes.items() if isinstance(value, tuple)}


def size_value(override: str, text: str, tuple_like: bool) -> Size:
    """A whole number, or several with commas between them."""
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        raise ValueError(f"--set {override}: a size is a whole number, or several, as in 16,32,64")
    numbers = tuple(int(number) for number in text.split(","))
    return numbers if tuple_like or len(numbers) > 1 else numbers[0]


def show(what: Path, overrides: list[str], asked: Asked, quiet: bool) -> dict[str, Any]:
    """Tell what a recipe says or an architecture is; the same as a JSON object.

    If ``quiet`` nothing is told, and an architecture drawn only where it is asked for.
    ``ValueError`` names what is wrong.
    """
    subject = find(what)
    if subject is not None:
        return present(resized(subject, overrides), asked, quiet)
    from recipe import Recipe

    recipe = Recipe.find(what, overrides)
    if asked != Asked():
        raise ValueError(f"{what} is a recipe: --classes, --size and --to are for architectures")
    if not quiet:
        say(recipe.to_yaml().rstrip())
    return recipe.document()


def present(subject: Subject, asked: Asked, quiet: bool) -> dict[str, Any]:
    """Tell and draw an architecture."""
    found = examine(subject, asked)
    picture = draw(found.genotype, asked.to) if asked.to or not quiet else None
    if not quiet:
        tell(subject, found)
        wrote(*([picture] if picture else []))
        following(f"build RECIPE --set system=given --set search.genotype={subject.name}")
    row = {"name": subject.name, "source": subject.source or None, **found.row()}
    return {**row, "picture": str(picture) if picture else None}


def examine(subject: Subject, asked: Asked) -> Anatomy:
    """Count; what is not asked for is the subject's own, or what is usual in its family.

    ``ValueError`` names the file and the key of the genotype that is wrong.
    """
    from models.anatomy import dissect, usual

    usual_classes, usual_size = usual(subject.genotype)
    size = parse_size(asked.size) if asked.size else subject.size or usual_size
    try:
        return dissect(subject.genotype, asked.classes or subject.classes or usual_classes, size)
    except ValueError as error:
        raise ValueError(f"{subject.name} does not describe a network: {error}") from None


def draw(genotype: Genotype, to: Path | None) -> Path:
    """A picture of the graphs; the path of its PNG."""
    from searcher.blueprints import draw_architecture

    path = to or PICTURES / f"{genotype.fingerprint}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_architecture(genotype, path)
    return path


def tell(subject: Subject, found: Anatomy) -> None:
    """The numbers as a table."""
    counted = found.parameters.row()
    parts = ("encoder", "head", "without_auxiliary", "auxiliary", "total")
    height, width = found.size
    sizes = ", ".join(f"{name} {value}" for name, value in found.genotype.sizes.items())
    say(f"{subject.name}: {found.genotype.family}, {sizes}; {found.genotype.fingerprint}")
    rows = [(part.replace("_", " "), f"{counted[part]:,}") for part in parts]
    table((f"Parameters, {found.classes} classes", ""), rows, 1)
    say(f"{found.macs / 1e9:.3f} G multiply-adds for an image of {height}x{width} (height x width)")
    say(f"output stride {found.output_stride}")
    if subject.source:
        say(f"source: {subject.source}")


def given(path: Path, key: str = "search.genotype") -> Genotype:
    """The genotype that a recipe's key names: a file, ``published/NAME``, or a network's folder.

    ``ValueError`` where the file is not one, or there is nothing of that name.
    """
    if path.is_file():
        return in_file(path).genotype
    try:
        found = None if path.suffix == ".json" else find(path)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if found is None:
        raise ValueError(
            f"{key}: {path} does not exist or holds none; name a genotype's JSON file, "
            f"published/NAME, zoo:NAME, or the folder of a training or a bundle"
        )
    return found.genotype


def parents_of(paths: Iterable[Path]) -> dict[str, Genotype]:
    """The genotypes of ``search.parents``, by what the recipe calls them."""
    return {str(path): given(path, "search.parents") for path in paths}
