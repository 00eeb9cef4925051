"""The proofs: a few lines with which every installed runtime shows that it computes.

Each is run by an interpreter of its own, prints one line on what it found, and ends with an error
where it does not work.
"""

from __future__ import annotations

from collections.abc import Mapping

MODEL = (
    "CAgSADpjCg8KAXgKAXcSAXkiBENvbnYSAWcqEwgBCAEIAQgBEAFCAXdKBAAAAEBaGwoBeBIWChQIARIQCgIIAQoCCAEK"
    "AggCCgIIAmIbCgF5EhYKFAgBEhAKAggBCgIIAQoCCAIKAggCQgQKABAS"
)
"""111 bytes of ONNX in base 64: a 1x1 convolution that doubles ``x``, float32 [1, 1, 2, 2]."""
READ = f"import base64\nmodel = base64.b64decode('{MODEL}')\n"

ONNXRUNTIME = (
    READ
    + """
import numpy, onnxruntime as ort
x = numpy.ones((1, 1, 2, 2), numpy.float32)
def runs(provider):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if provider != "CPUExecutionProvider":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = ort.InferenceSession(model, options, [provider], enable_fallback=0)
        found, = session.run(None, {"x": x})
    except Exception:
        return False
    return session.get_providers()[0] == provider and bool((found == 2).all())
names = {True: [], False: []}
for provider in ort.get_available_providers():
    names[runs(provider)].append(provider)
print("runs on", ", ".join(names[True]) + "".join(f"; not on {n}" for n in names[False]))
assert "CPUExecutionProvider" in names[True], "it does not run on the processor"
"""
)
PROVIDER = (
    READ
    + """
import numpy, onnxruntime as ort
from importlib import import_module
from importlib.util import find_spec
if find_spec("tensorrt"):
    import_module("tensorrt")
ort.preload_dlls()
options = ort.SessionOptions()
options.log_severity_level = 4
session = ort.InferenceSession(model, options, ["{provider}"], enable_fallback=0)
active = session.get_providers()[0]
assert active == "{provider}", "it runs on " + active + ": a library is missing"
found, = session.run(None, {"x": numpy.ones((1, 1, 2, 2), numpy.float32)})
assert (found == 2).all(), "it computes wrongly"
print("runs on", active)
"""
)
COMPILED = """
import torch
conv = torch.nn.functional.conv2d
made = torch.compile(lambda x, w: conv(x, w).relu() + 1)
device = "{device}"
found = made(torch.ones(1, 1, 2, 2, device=device), torch.full((1, 1, 1, 1), 2.0, device=device))
assert (found == 3).all(), "it computes wrongly"
print("compiles for", device)
"""
RECORDED = """
import torch
x, weight = torch.ones(1, 1, 2, 2).cuda(), torch.full((1, 1, 1, 1), 2.0).cuda()
stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
with torch.cuda.stream(stream):
    torch.nn.functional.conv2d(x, weight)
stream.synchronize()
with torch.cuda.graph(graph, stream=stream):
    found = torch.nn.functional.conv2d(x, weight)
x.fill_(2)
graph.replay()
torch.cuda.synchronize()
assert (found == 4).all(), "it computes wrongly"
print("replays a CUDA graph on", torch.cuda.get_device_name())
"""
TORCH = """
import torch
devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
for device in devices:
    weight = torch.full((1, 1, 1, 1), 2.0, device=device)
    found = torch.nn.functional.conv2d(torch.ones(1, 1, 2, 2, device=device), weight)
    assert (found == 2).all(), f"it computes wrongly on {device}"
print("runs on", ", ".join(devices))
"""
OPENVINO = (
    READ
    + """
import numpy, openvino
core = openvino.Core()
compiled = core.compile_model(core.read_model(model), "CPU")
found = compiled({"x": numpy.ones((1, 1, 2, 2), numpy.float32)})[0]
assert (found == 2).all(), "it computes wrongly"
print("runs on CPU; devices:", ", ".join(core.available_devices))
"""
)
TENSORRT = (
    READ
    + """
import {module} as library
log = library.Logger(library.Logger.ERROR)
builder = library.Builder(log)
typed = getattr(library.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
network = builder.create_network(0 if typed is None else 1 << int(typed))
parser = library.OnnxParser(network, log)
assert parser.parse(model), "it does not read ONNX"
config = builder.create_builder_config()
if {ahead}:
    config.num_compute_capabilities = 1
    assert config.set_compute_capability(library.ComputeCapability.SM86, 0), "not for 8.6"
plan = builder.build_serialized_network(network, config)
assert plan is not None, "it does not build an engine"
if not {ahead}:
    engine = library.Runtime(log).deserialize_cuda_engine(bytes(plan))
    assert engine.create_execution_context() is not None, "it does not load its own engine"
print("builds engines ahead of time; running one needs a GPU" if {ahead} else "builds and loads")
"""
)
GRADIO = """
import gradio
with gradio.Blocks(analytics_enabled=False):
    gradio.Markdown("a page")
print("lays out a page")
"""
PROOFS: Mapping[str, str] = {
    "onnxruntime": ONNXRUNTIME,
    "torch": TORCH,
    "openvino": OPENVINO,
    "tensorrt": TENSORRT,
    "tensorrt_rtx": TENSORRT,
    "gradio": GRADIO,
}
"""By module."""
OTHERS: Mapping[str, str] = {
    "torch-compiled": COMPILED.format(device="cpu"),
    "torch-cuda": RECORDED,
    "torch-cuda-compiled": COMPILED.format(device="cuda"),
    "onnxruntime-cuda": PROVIDER.replace("{provider}", "CUDAExecutionProvider"),
    "onnxruntime-tensorrt": PROVIDER.replace("{provider}", "TensorrtExecutionProvider"),
}
"""Of the other ways to run a runtime's files, by their names."""


def proof(module: str, gpu: bool) -> str:
    """The program that proves a module, on a machine with or without a GPU."""
    text = PROOFS[module]
    return text.format(module=module, ahead=not gpu) if text is TENSORRT else text
