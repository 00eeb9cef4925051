"""Bustle: what stands and moves in a street: lamps, signs, trees, cars, people and cyclists."""

from __future__ import annotations

from dataclasses import replace
from math import pi

import numpy as np

from searcher.data.streets.camera import Lens
from searcher.data.streets.cyclists import sample_cyclist
from searcher.data.streets.fences import sample_fence
from searcher.data.streets.ground import Street
from searcher.data.streets.ink import choose
from searcher.data.streets.people import sample_person
from searcher.data.streets.quarter import Quarter, Thing
from searcher.data.streets.street_furniture import sample_bollard, sample_lamp, sample_sign
from searcher.data.streets.traffic import Car, sample_car
from searcher.data.streets.trees import LEAVES, sample_tree


class Lot:
    """The drawing of what stands in a street: one generator, one floor plan, one list."""

    def __init__(self, rng: np.random.Generator, lens: Lens, street: Street, drive: int) -> None:
        self.rng = rng
        self.lens = lens
        self.street = street
        self.drive = drive
        self.things: list[Thing] = []

    def fill(self, quarter: Quarter) -> None:
        """Draw everything that stands in the street of such a quarter."""
        self.furnish()
        self.plant(quarter.trees)
        self.park(quarter.busy)
        self.people(quarter.busy)

    def between(self, low: float, high: float) -> float:
        """Draw a number between two."""
        return float(self.rng.uniform(low, high))

    def kerb(self, inset: float) -> float:
        """Return x on the pavement, `inset` metres from the kerb, on a random side."""
        side = 1.0 if self.rng.random() < 0.5 else -1.0
        return side * (self.street.half_road + inset)

    def in_view(self, x: float, near: float, far: float) -> float:
        """Draw a distance from which a place at x is seen inside the picture."""
        lens = self.lens
        edge = (1.0 - lens.vanish if x > lens.beside else lens.vanish) * 1.13 / lens.zoom
        first = max(near, abs(x - lens.beside) / edge + 0.6)
        luck: float = float(self.rng.random()) ** 1.4
        return first + (max(far, first + 4.0) - first) * luck

    def furnish(self) -> None:
        """Set lamps, signs and bollards along both kerbs."""
        rng = self.rng
        pitch, start = self.between(16, 26), self.between(6, 14)
        for step in range(4):
            for side in (-1.0, 1.0):
                z = start + pitch * (step + (0.5 if side > 0 else 0.0))
                self.things.append(sample_lamp(rng, side * (self.street.half_road + 0.5), z))
        for _ in range(int(rng.integers(2, 5))):
            x = self.kerb(self.between(0.4, 0.9))
            self.things.append(sample_sign(rng, x, self.in_view(x, 4.5, 22)))
        if rng.random() < 0.35:
            x = self.kerb(0.45)
            first = sample_bollard(rng, x, self.in_view(x, 5, 12))
            for step in range(int(rng.integers(3, 7))):
                self.things.append(replace(first, z=first.z + 1.7 * step))

    def plant(self, trees: float) -> None:
        """Plant rows of trees along the kerbs, and guard rails where there are none."""
        rng = self.rng
        leaf = choose(rng, LEAVES)
        for side in (-1.0, 1.0):
            x = side * (self.street.half_road + 0.85)
            if rng.random() < trees:
                z = self.between(6, 14)
                while z < 75:
                    self.things.append(sample_tree(rng, x, z, leaf))
                    z += self.between(7, 14)
            elif rng.random() < 0.3:
                near = self.in_view(x, 5, 14)
                spots = ((x - side * 0.5, near), (x - side * 0.5, near + self.between(5, 12)))
                self.things.append(sample_fence(rng, *spots))

    def park(self, busy: float) -> None:
        """Park cars along the kerbs and let others drive in the lanes."""
        rng, half = self.rng, self.street.half_road
        for side in (-1.0, 1.0):
            z = self.between(5.5, 16)
            along = 0.0 if side == self.drive or rng.random() < 0.3 else pi
            share = self.between(0.05, 0.9)
            while z < 70:
                if rng.random() < share and self._free(z):
                    self.things.append(sample_car(rng, side * (half - 1.05), z, along))
                z += self.between(5.6, 8.0)
        z = self.between(9, 20)
        while z < 90:
            side = self.drive if rng.random() < 0.5 else -self.drive
            turn = 0.0 if side == self.drive else pi
            if rng.random() < 0.55 * busy and self._free(z):
                self.things.append(sample_car(rng, side * half * 0.36, z, turn))
            z += self.between(9, 22)
        if rng.random() < 0.16:
            turn = pi / 2 if rng.random() < 0.5 else -pi / 2
            x, z = self.between(-half, half), self.between(13, 26)
            if self._clear(x, z) and self._free(z):
                self.things.append(sample_car(rng, x, z, turn))

    def _free(self, z: float) -> bool:
        """Return whether a car at z leaves the zebras free."""
        return all(not start - 3.2 < z < start + 6.4 for start in self.street.marks.zebras)

    def people(self, busy: float) -> None:
        """Let people walk on the pavements and over the zebras, and cyclists ride."""
        rng, half = self.rng, self.street.half_road
        for _ in range(int(rng.poisson(3.5 * busy)) + 2):
            x = self.kerb(self.between(0.5, self.street.walk - 0.4))
            way = int(rng.choice([-1, 0, 0, 0, 1]))
            self.things.append(sample_person(rng, x, self.in_view(x, 5, 26), way))
        for start in self.street.marks.zebras:
            for _ in range(int(rng.integers(1, 5))):
                x, z = self.between(-half, half), start + self.between(0.4, 2.8)
                self.things.append(sample_person(rng, x, z, 1 if rng.random() < 0.5 else -1))
        if rng.random() < 0.14:
            x = self.between(-half * 0.8, half * 0.8)
            z = self.between(7, 14)
            if self._clear(x, z):
                self.things.append(sample_person(rng, x, z, 1))
        for _ in range(int(rng.choice(4, p=[0.18, 0.44, 0.26, 0.12]))):
            self._ride(half)

    def _ride(self, half: float) -> None:
        """Let one cyclist ride along a lane or cross the street."""
        rng = self.rng
        if rng.random() < 0.3:
            x, turn = self.between(-half, half), pi / 2 if rng.random() < 0.5 else -pi / 2
        else:
            side = 1.0 if rng.random() < 0.5 else -1.0
            x = side * half * self.between(0.3, 0.62)
            turn = (0.0 if side == self.drive else pi) + self.between(-0.45, 0.45)
        z = self.in_view(x, 5.0, 17)
        if self._clear(x, z):
            self.things.append(sample_cyclist(rng, x, z, turn))

    def _clear(self, x: float, z: float) -> bool:
        """Return whether no car stands at a spot in the road."""
        cars = (thing for thing in self.things if isinstance(thing, Car))
        return all(abs(car.x - x) > 1.3 or abs(car.z - z) > 3.2 for car in cars)
