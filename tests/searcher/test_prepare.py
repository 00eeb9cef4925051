"""From a recipe to a task: what a device computes in."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from recipe import Compute, Recipe
from searcher.prepare import fabric_for, precision_of, settled

CPU = Compute(device="cpu", threads=1)


@pytest.mark.parametrize(
    ("have", "precision"),
    [
        ({"avx2": True, "avx512_bf16": False}, "fp32"),
        ({"avx2": True, "avx512_bf16": True}, "bf16"),
        ({"neon": True, "bf16": True}, "bf16"),
        ({}, "fp32"),
    ],
)
def test_bf16_is_for_processors_with_instructions_for_it(
    have: dict[str, bool], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: MappingProxyType(have))
    assert precision_of(CPU) == precision
    assert precision_of(CPU.model_copy(update={"precision": "bf16"})) == "bf16"


def test_a_settled_recipe_says_what_is_computed() -> None:
    recipe = settled(Recipe(system="darts", out=Path("run"), compute=CPU))
    wanted = {"fp32": "32-true", "bf16": "bf16-mixed"}[recipe.compute.precision]
    assert fabric_for(CPU).strategy.precision.precision == wanted
    assert settled(recipe) == recipe
