"""Engines are built where there is no GPU, are refused in words, and say what they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import onnx
import pytest
import torch

from export.assembly import BUILT, Contents, Description, make_bundle
from export.bundle import Bundle
from export.formats.half import half_from_onnx
from export.formats.int8 import int8_from_onnx
from export.formats.onnx import onnx_from_network
from export.formats.tensorrt import AHEAD, Order, engine_from_onnx
from export.machine import no_gpu
from export.runtimes import load
from export.sidecar import Sidecar, beside
from export.verify import Pair
from models.network import Network
from searcher.spaces import SPACES  # what every family is searched in

pytest.importorskip("tensorrt_rtx")
pytestmark = pytest.mark.tensorrt
SIZE = (64, 96)
ORDER = Order(capabilities=("8.6",))
