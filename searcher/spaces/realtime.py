"""The space of real-time networks: depth, layers, widths, context and the way back: our own.

What FasterSeg, BiSeNet and FasterNet choose by hand or by search, in one row of decisions that
hardly depend on each other.  Which ops are fast is not known here: a budget decides.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from itertools import product

from models.families.pyramid import NODES, stage
from models.families.realtime import SKIP, grain_of
from models.genotype import Edge, Genotype, Size

LAYERS = (
    SKIP,
    "conv_3x3",
    "narrow_3x3",
    "fused_3x3_e2",
    "inverted_3x3_e3",
    "inverted_5x5_e3",
    "partial_3x3_e2",
    "atrous_conv_3x3",
)
REFINE = (SKIP, "conv_3x3", "inverted_3x3_e3")
POOLED = (SKIP, "image_pool")
AROUND = (SKIP, "pool_grid_2", "pool_grid_4", "atrous_conv_3x3_r3")

STAGES = (5, 6)
"""To a stride of 32 or of 64."""
FINEST = (1, 2)
"""The stage that labels are read at: of stride 4 or 8."""
SLOTS = (0, 2, 3, 4, 3, 2)
"""The layers of each stage, ``skip_connect`` among them."""
WIDTHS = ((1, 2), (2, 3, 4), (4, 6, 8), (6, 8, 12, 16), (8, 12, 16, 24), (8, 12, 16, 24))
"""The channels of each stage, in units of ``sizes.width``."""
CHANNELS = (3, 4, 6, 8, 12)
"""Those of each of the decoder's maps."""
GRAINS = (1, 2, 4)

Option = int | str
Choice = dict[str, Option]
"""What was chosen for each decision."""


class Realtime:
    """Networks of the family ``realtime``; ``sizes.width`` is the unit of all widths."""

    def __init__(self, sizes: Mapping[str, Size]) -> None:
        unit = sizes.get("width", 8)
        assert isinstance(unit, int)
        self.unit = unit

    def sample(self, rng: random.Random) -> Genotype:
        return genotype_of({n: rng.choice(o) for n, o in DECISIONS.items()}, self.unit)

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        chosen = choices_of(genotype, self.unit)
        while True:
            name = rng.choice(list(DECISIONS))
            others = [option for option in DECISIONS[name] if option != chosen[name]]
            found = genotype_of({**chosen, name: rng.choice(others)}, self.unit)
            if found != genotype:
                return found

    def cross(self, one: Genotype, other: Genotype, rng: random.Random) -> Genotype:
        """Each decision of one of two of the space's."""
        first, second = (choices_of(genotype, self.unit) for genotype in (one, other))
        return genotype_of({n: rng.choice((first[n], second[n])) for n in DECISIONS}, self.unit)

    def holds(self, genotype: Genotype) -> bool:
        """Whether it is made of the space's choices, its channels multiples of the unit."""
        if genotype.family != "realtime":
            return False
        return genotype_of(choices_of(genotype, self.unit), self.unit) == genotype

    def count(self) -> int:
        ends = product(STAGES, FINEST)
        return sum(
            math.prod(len(o) for n, o in DECISIONS.items() if n not in ENDS and used(n, *end))
            for end in ends
        )

    def ends(self) -> tuple[Genotype, Genotype]:
        """The lightest network of the space, and one of the heaviest."""
        least: Choice = {name: options[0] for name, options in DECISIONS.items()}
        most: Choice = {name: options[-1] for name, options in DECISIONS.items()}
        layers = [name for name in DECISIONS if name.startswith("layer")]
        most |= {**dict.fromkeys(layers, "fused_3x3_e2"), "finest": 1, "refine1": "conv_3x3"}
        light: Choice = {**least, "finest": FINEST[-1], "grain": GRAINS[-1]}
        return genotype_of(light, self.unit), genotype_of({**most, "grain": 1}, self.unit)

    def widest(self) -> list[Genotype]:
        """Networks that together have every layer of the space, as wide as any has it."""
        most = {name: options[-1] for name, options in DECISIONS.items()}
        layers = [name for name in DECISIONS if name.startswith("layer")]
        found: list[Genotype] = []
        for op, stages, finest in product(LAYERS[1:], STAGES, FINEST):
            ends: Choice = {"stages": stages, "finest": finest}
            found.append(genotype_of({**most, **dict.fromkeys(layers, op), **ends}, self.unit))
        others = [name for name in DECISIONS if name.startswith(("refine", "around"))]
        for name in others:
            for option in DECISIONS[name]:
                found.append(genotype_of({**most, "finest": 1, name: option}, self.unit))
        return found


def decisions() -> Mapping[str, tuple[Option, ...]]:
    """Every decision and its options."""
    found: dict[str, tuple[Option, ...]] = {"stages": STAGES, "finest": FINEST, "grain": GRAINS}
    for k, (widths, slots) in enumerate(zip(WIDTHS, SLOTS, strict=True)):
        found[f"width{k}"] = widths
        found |= {f"layer{k}.{i}": LAYERS for i in range(slots)}
    found |= {f"channels{k}": CHANNELS for k in range(1, len(SLOTS))}
    found |= {f"refine{k}": REFINE for k in range(1, len(SLOTS) - 1)}
    return found | {"pooled": POOLED, "around": AROUND}


DECISIONS = decisions()
ENDS = ("stages", "finest")


def used(name: str, stages: int, finest: int) -> bool:
    """Whether a decision means something to a network of so many stages, decoded so far."""
    if not name[-1].isdigit():
        return True
    kind, k = name.rstrip("0123456789."), int(name.lstrip("abcdefghijklmnopqrstuvwxyz")[0])
    if kind == "channels":
        return finest <= k < stages
    return finest <= k < stages - 1 if kind == "refine" else k < stages


def genotype_of(chosen: Mapping[str, Option], unit: int) -> Genotype:
    """The genotype that ``chosen`` describe; what it has no use for is not in it."""
    stages, finest = int(chosen["stages"]), int(chosen["finest"])
    layers = [
        Edge(k * NODES + i, k * NODES + i + 1, str(chosen[f"layer{k}.{i}"]))
        for k in range(stages)
        for i in range(SLOTS[k])
    ]
    way = range(stages - 1, finest, -1)
    context = dict.fromkeys((str(chosen["pooled"]), str(chosen["around"])))
    return Genotype(
        "realtime",
        {
            "stages": tuple(layers),
            "context": tuple(Edge(0, 1, op) for op in context if op != SKIP),
            "decoder": tuple(Edge(k, k - 1, str(chosen[f"refine{k - 1}"])) for k in way),
        },
        {
            "widths": tuple(unit * int(chosen[f"width{k}"]) for k in range(stages)),
            "decoder": tuple(
                unit * int(chosen[f"channels{k}"]) for k in (stages - 1, *(k - 1 for k in way))
            ),
            "grain": int(chosen["grain"]),
        },
    )


def choices_of(genotype: Genotype, unit: int) -> Choice:
    """What was chosen; the first option where a network has no use for a decision."""
    widths, channels = genotype.sizes["widths"], genotype.sizes["decoder"]
    assert isinstance(widths, tuple)
    assert isinstance(channels, tuple)
    found: Choice = {name: options[0] for name, options in DECISIONS.items()}
    decoder = genotype.graphs["decoder"]
    found |= {"stages": len(widths), "finest": decoder[-1].dst, "grain": grain_of(genotype)}
    found |= {f"width{k}": width // unit for k, width in enumerate(widths)}
    found |= {f"layer{stage(e.src)}.{e.src % NODES}": e.op for e in genotype.graphs["stages"]}
    found |= {f"channels{len(widths) - 1 - i}": c // unit for i, c in enumerate(channels)}
    found |= {f"refine{edge.dst}": edge.op for edge in decoder}
    context = {edge.op for edge in genotype.graphs["context"]}
    found["pooled"] = next((op for op in POOLED if op in context), SKIP)
    found["around"] = next((op for op in AROUND if op in context), SKIP)
    return found
