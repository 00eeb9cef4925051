"""A network on disk: its genotype in ``network.json``, its numbers in ``weights.safetensors``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import Tensor, nn

import zoo
from files import write_bytes, write_text
from models.genotype import Genotype
from models.network import Network, build

NETWORK = "network.json"
WEIGHTS = "weights.safetensors"
ENCODER = "body.encoder."
COUNTER = "num_batches_tracked"
"""How often a batch norm was updated: nothing reads it, and other programs leave it out."""


def save(network: Network, folder: Path) -> None:
    """Write both files of ``network`` into ``folder``."""
    document = {
        "genotype": json.loads(network.genotype.to_json()),
        "num_classes": network.num_classes,
    }
    write_text(folder / NETWORK, json.dumps(document, indent=2, sort_keys=True) + "\n")
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(folder / WEIGHTS, packed(tensors))


def load(folder: Path) -> Network:
    """The network of a folder, or of ``zoo:NAME``, in evaluation mode.

    ``ValueError`` names what is wrong.
    """
    folder = zoo.folder_of(folder)
    network = load_network(folder / NETWORK)
    load_weights(network, folder / WEIGHTS)
    return network.eval()


def load_network(path: Path) -> Network:
    """The network of ``network.json`` with fresh weights."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        classes = raw["num_classes"] if isinstance(raw, dict) and set(raw) == KEYS else None
        if type(classes) is not int or not 1 <= classes <= 255:
            raise ValueError("it must hold a genotype and num_classes from 1 to 255")
        return build(Genotype.from_document(raw["genotype"]), classes)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: run 'segnas train' first") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} does not describe a network: {error}") from None


def load_weights(network: Network, path: Path) -> None:
    """Fill ``network`` from ``path``; ``ValueError`` names the layer that does not fit."""
    tensors = read(path)
    check_fit(tensors, network.state_dict(), path)
    network.load_state_dict(tensors)


def load_encoder(body: nn.Module, path: Path, key: str = "train.encoder") -> None:
    """Fill the ``encoder`` of ``body``, the network's, from a folder or a safetensors file.

    The folder is that of a training or a bundle.  Of its layers those below ``body.encoder.`` are
    taken; where there are none the file is an encoder's alone.  ``ValueError`` names what is wrong:
    an encoder of another size does not fit.  ``key`` is the recipe's that names ``path``.
    """
    encoder = getattr(body, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise ValueError(f"{key}: the networks of this genotype's family have no encoder")
    stored = named(path, key)
    tensors = {n.removeprefix(ENCODER): t for n, t in stored.items() if n.startswith(ENCODER)}
    counters = {n: t for n, t in encoder.state_dict().items() if n.endswith(COUNTER)}
    tensors = {**counters, **(tensors or stored)}
    try:
        check_fit(tensors, encoder.state_dict(), file_of(path))
    except ValueError as error:
        remedy = "sizes.encoder must be what that one was trained with"
        raise ValueError(f"{key}: {error}; {remedy}") from None
    encoder.load_state_dict(tensors)


def load_start(network: Network, path: Path, key: str = "train.start") -> tuple[str, ...]:
    """Fill all of ``network`` from a folder, ``zoo:NAME`` or a safetensors file.

    The folder is that of a training or a bundle.  The classifier stays as it is where it has
    another number of classes: the names of such layers.  ``ValueError`` names what does not fit;
    ``key`` is the recipe's that names ``path``.
    """
    stored, own = named(path, key), network.state_dict()
    anew = tuple(n for n in classifier(network) if n in stored and recounted(stored[n], own[n]))
    counters = {n: t for n, t in own.items() if n.endswith(COUNTER)}
    tensors = {**counters, **stored, **{n: own[n] for n in anew}}
    try:
        check_fit(tensors, own, file_of(path))
        check_genotype(network.genotype, file_of(path))
    except ValueError as error:
        raise ValueError(f"{key}: {error}; its genotype must be that of this run") from None
    network.load_state_dict(tensors)
    return anew


def load_shared(network: Network, path: Path, key: str = "train.inherit") -> list[str]:
    """Fill what ``network`` has in common with another, named as in ``load_start``.

    A layer is taken whole, where all of it is there in the same shapes.  The names of those that
    begin anew; ``ValueError`` where none is there: that is a network of another family.
    """
    stored, own = named(path, key), network.state_dict()
    lacking = {n for n, t in own.items() if n not in stored or kind(stored[n]) != kind(t)}
    anew = sorted({layer_of(n) for n in lacking if not n.endswith(COUNTER)})
    taken = {n: t for n, t in stored.items() if n in own and layer_of(n) not in anew}
    if not taken:
        raise ValueError(
            f"{key}: {file_of(path)} has no layer of a {network.genotype.family} network"
        )
    network.load_state_dict({**own, **taken})
    return anew


def layer_of(tensor: str) -> str:
    """The layer that a tensor of that name belongs to."""
    return tensor.rpartition(".")[0]


def named(path: Path, key: str) -> dict[str, Tensor]:
    """The tensors that the recipe's ``key`` names; ``ValueError`` names the key as well."""
    try:
        return read(file_of(path))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def classifier(network: Network) -> list[str]:
    """The layers whose shape depends on the number of classes."""
    with torch.device("meta"):
        other = build(network.genotype, network.num_classes + 1).state_dict()
    return [n for n, tensor in network.state_dict().items() if other[n].shape != tensor.shape]


def recounted(stored: Tensor, own: Tensor) -> bool:
    """Whether two layers differ in nothing but how many outputs they have."""
    alike = stored.dtype == own.dtype and stored.shape[1:] == own.shape[1:]
    return alike and stored.shape != own.shape and stored.ndim == own.ndim


def check_genotype(genotype: Genotype, file: Path) -> None:
    """``ValueError`` where the network that lies beside weights is of another genotype.

    What has no weights, such as a pooling, tells two networks apart as well.
    """
    beside = file.with_name(NETWORK)
    if file.name != WEIGHTS or not beside.is_file():
        return
    other = load_network(beside).genotype
    if other != genotype:
        raise ValueError(f"{file} has every layer, but {beside} {difference(other, genotype)}")


def difference(other: Genotype, genotype: Genotype) -> str:
    """The first thing in which a genotype is not ``genotype``, in words."""
    for name in sorted({*other.graphs, *genotype.graphs}):
        theirs, ours = (set(g.graphs.get(name, ())) for g in (other, genotype))
        if theirs != ours:
            edge = min(theirs ^ ours)
            place = f"graphs.{name}, from {edge.src} to {edge.dst}"
            return f"{'has' if edge in theirs else 'lacks'} {edge.op} in {place}"
    return f"is of sizes {dict(other.sizes)}, not {dict(genotype.sizes)}"


def file_of(path: Path) -> Path:
    """The weights that a folder or ``zoo:NAME`` holds, or the file that is named itself."""
    folder = zoo.folder_of(path)
    return folder / WEIGHTS if folder.is_dir() else folder


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name; ``ValueError`` where it is none."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist: run 'segnas train' first")
    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None


def check_fit(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """The same names and shapes; ``ValueError`` names the layer of ``path`` that does not fit."""
    for name in sorted({*expected, *tensors}):
        if name not in tensors or name not in expected:
            where = "missing from" if name not in tensors else "not wanted, but in"
            raise ValueError(f"layer {name} is {where} {path}: it belongs to another network")
        have, want = kind(tensors[name]), kind(expected[name])
        if have != want:
            raise ValueError(f"layer {name} of {path} is {have}; the network needs {want}")


def kind(tensor: Tensor) -> str:
    """What numbers a tensor holds, such as ``float32 [8, 3, 3, 3]``."""
    return f"{tensor.dtype} {list(tensor.shape)}".removeprefix("torch.")


KEYS = {"genotype", "num_classes"}
