"""Lists of image names, one a line: which samples are in a split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def names_in(file: Path) -> list[str]:
    """The image names in a list, in its order; ``ValueError`` names the file and line.

    A line is a name, or the paths of an image and its mask, of which the name is taken.
    """
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(
            f"{file} cannot be read ({error.strerror}): it lists the images of a split, one a line"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not a text file: save it in UTF-8") from None
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = Path(line.split()[0]).stem
        if name in seen:
            raise ValueError(
                f"{file} names {name} in lines {seen[name]} and {number}: remove one of them"
            )
        seen[name] = number
    if not seen:
        raise ValueError(f"{file} lists no image: write one name a line")
    return list(seen)


def listed_pairs(
    file: Path, image: Callable[[str], Path], mask: Callable[[str], Path]
) -> dict[str, tuple[Path, Path]]:
    """The pairs of every name in a list; ``ValueError`` names a file that is not there."""
    pairs = {name: (image(name), mask(name)) for name in names_in(file)}
    for name, paths in pairs.items():
        for path in paths:
            if not path.is_file():
                raise ValueError(
                    f"{path} does not exist, but {file} lists {name}: add it or remove the line"
                )
    return pairs


def check_apart(first: Path, second: Path, names: set[str], others: set[str]) -> None:
    """``ValueError`` where a name is in two lists: who trains on what scores it scores nothing."""
    both = sorted(names & others)
    if both:
        raise ValueError(f"{both[0]} is listed in {first} and in {second}: remove one of them")
