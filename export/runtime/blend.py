"""Blend styles: one network whose weights are a weighted mean of several networks' weights; no torch.

Styles that were trained from one start lie near each other, and a mean of their weights is a network again, at the cost
of one. Five pairs of the ready styles were compared by eye with the mean of their pictures, on a portrait and a
skyline: the blended network paints one picture whose strokes and palette lie between the two, at every share, where the
mean of pictures is a double exposure in dull colors. Networks of different architectures, or of different starts, have
no mean that paints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from export.contract import PREFIX, SEAL_KEY, SEAL_LENGTH, STRENGTH, STRENGTH_SIDES, has_seal, name_network, seal
from export.errors import ModelError
from export.runtime.onnx_messages import FLOAT, INT8, ModelProto, TensorProto
from export.runtime.session import read_model, refuse_ort_format
from export.styles import choose_styles

_NOISE = "noise."  # Of what adds the noise.
_CHANGES = tuple(f".{side}" for side in STRENGTH_SIDES)  # Of the change of a norm with the strength.
_LEVELS, _STEPS, _CAST = ".levels", ".steps", ".cast"


@dataclass(frozen=True)
class Blend:
    """A blended network.

    Args:
        path: The name that its file gets: ``wave-starry_night.onnx``.
        title: The styles and their shares, which sum to 1: ``wave 0.6 + starry_night 0.4``.
        content: A serialized ONNX model of the same contract, float32.
        sources: The files that it was made from.
    """

    path: Path
    title: str
    content: bytes
    sources: tuple[Path, ...]


def blend_styles(shares: Mapping[str, float]) -> Blend:
    """Blend styles that were trained from one start.

    Each constant becomes the mean of the styles' constants, weighted by their shares; 8-bit weights are restored first.
    If some of the styles take a strength, the blend does: the others' norms do not change with it.

    Args:
        shares: Two or more ready styles by name, or paths of .onnx files, each with its share, above 0; they are
            divided by their sum.

    Raises:
        ExportError: If there is no style of a name.
        ModelError: If a file cannot be read, or the files differ in more than their weights.
        TypeError: If the shares are no mapping.
        ValueError: If there are fewer than two styles, or a share is not a number above 0.
    """
    if not isinstance(shares, Mapping):
        raise TypeError(
            f"the shares are {type(shares).__name__}; pass a dict of styles and shares, such as "
            "{'wave': 0.6, 'starry_night': 0.4}"
        )
    if len(shares) < 2:
        raise ValueError(f"{len(shares)} styles are named; name two or more, each with its share")
    for name, share in shares.items():
        if not 0 < share < float("inf"):
            raise ValueError(f"the share of {name!r} is {share}; it must be a number above 0")
    sources = choose_styles(list(shares))
    total = sum(shares.values())
    parts = [share / total for share in shares.values()]
    networks = [_read_network(path) for path in sources]
    base = next((network for network in networks if network.takes_strength), networks[0])
    for network in networks:
        _check_same(base, network)
    model = base.model
    constants = _mix(base, networks, parts)
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    names = [network.name for network in networks]
    title = " + ".join(f"{name} {part:.3g}" for name, part in zip(names, parts, strict=True))
    content = _describe(base, networks, title, list(zip(names, parts, strict=True)), _mean_noise(networks, parts))
    return Blend(Path(f"{'-'.join(names)}.onnx"), title, content, tuple(sources))


@dataclass(frozen=True)
class _Network:
    """A model without the nodes that restore 8-bit weights.

    Args:
        path: The file.
        model: Its message, whose constants are empty.
        constants: All constants by name, with restored weights among them.
        entries: Its metadata.
    """

    path: Path
    model: Any
    constants: dict[str, Any]
    entries: dict[str, str]

    @property
    def name(self) -> str:
        """The style's name, as ``name_network`` has it."""
        return name_network(self.path, self.entries.get(PREFIX + "style", ""))

    @property
    def takes_strength(self) -> bool:
        """Whether its style can be made weaker and stronger when it is used."""
        return any(value.name == STRENGTH for value in self.model.graph.input)


def _read_network(path: Path) -> _Network:
    content = read_model(path)
    refuse_ort_format(path, content)
    model: Any = ModelProto()
    try:
        model.ParseFromString(content)
        entries = {entry.key: entry.value for entry in model.metadata_props}
        constants = {constant.name: constant for constant in model.graph.initializer}
    # Names that are not UTF-8 are found out when they are read.
    except (DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"model '{path}' is not an ONNX file ({error}); copy or export it again") from error
    if any(key.startswith(PREFIX) for key in entries) and not has_seal(content):
        raise ModelError(f"model '{path}' is incomplete or was changed since its export; copy or export it again")
    restored = [name.removesuffix(_LEVELS) for name in constants if name.endswith(_LEVELS)]
    for name in restored:
        constants[name] = _restore(path, name, constants.pop(name + _LEVELS), constants.pop(name + _STEPS, None))
    restoring = {name + part for name in restored for part in ("", _CAST)}
    nodes = [node for node in model.graph.node if not restoring.intersection(node.output)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return _Network(path, model, constants, entries)


def _check_same(one: _Network, other: _Network) -> None:
    """Raise ModelError if two networks differ in more than the values of their constants."""
    added = one.takes_strength and not other.takes_strength
    reason = None
    names, others = one.constants.keys(), other.constants.keys()
    if others - names or (names - others and not added):
        reason = "they have other constants"
    elif any(name.startswith(_NOISE) for name in names - others):
        reason = "only the first adds noise to the photo"
    elif not (
        _layers(other.model) <= _layers(one.model) if added else _structure(one.model) == _structure(other.model)
    ):
        reason = "they have other layers"
    if reason:
        raise ModelError(
            f"'{one.path}' and '{other.path}' cannot be blended ({reason}); blend styles of one architecture and one "
            "start, with float32 or 8-bit weights"
        )


def _layers(model: Any) -> set[tuple[str, ...]]:
    """Return what each node is, whatever its inputs: a strength comes between them."""
    nodes = model.graph.node
    return {(node.name, node.op_type, *(str(part.SerializeToString()) for part in node.attribute)) for node in nodes}


def _structure(model: Any) -> list[bytes]:
    graph = model.graph
    return [part.SerializeToString() for part in (*graph.node, *graph.input, *graph.output, *model.opset_import)]


def _mix(base: _Network, networks: list[_Network], parts: list[float]) -> list[Any]:
    mixed = []
    for name, first in base.constants.items():
        found = [(network, part) for network, part in zip(networks, parts, strict=True) if name in network.constants]
        same = all(network.constants[name].SerializeToString() == first.SerializeToString() for network, _ in found)
        # A norm that does not change with the strength has no such constant, which is one of 0.
        if same and (len(found) == len(networks) or not name.endswith(_CHANGES)):
            mixed.append(first)
            continue
        values = [_read_values(network.path, network.constants[name]) for network, _ in found]
        if any(value.dtype != np.float32 or value.shape != values[0].shape for value in values):
            paths = " and ".join(f"'{network.path}'" for network in networks)
            raise ModelError(f"{paths} differ in '{name}', which has no mean; blend styles of one architecture")
        mean = sum(part * value.astype(np.float64) for (_, part), value in zip(found, values, strict=True))
        mixed.append(_make_constant(name, np.asarray(mean, np.float32)))
    return mixed


_TYPES: Mapping[int, np.dtype[Any]] = {FLOAT: np.dtype("<f4"), INT8: np.dtype("i1")}


def _read_values(path: Path, constant: Any) -> npt.NDArray[Any]:
    """Read a constant of float32 or int8 that is stored as bytes."""
    try:
        values: npt.NDArray[Any] = np.frombuffer(constant.raw_data, _TYPES[constant.data_type])
        return values.reshape(list(constant.dims))
    except (KeyError, ValueError) as error:
        raise _unreadable(path, constant.name) from error


def _restore(path: Path, name: str, levels: Any, steps: Any) -> Any:
    """Make the constant that the nodes of the variant ``w8`` compute from levels and steps."""
    if steps is None:
        raise _unreadable(path, name)
    values, step = _read_values(path, levels), _read_values(path, steps)
    # Of other shapes, a small file could ask for any amount of memory.
    if not values.ndim or step.ndim > values.ndim or step.size > len(values):
        raise _unreadable(path, name)
    return _make_constant(name, values.astype(np.float32) * step.astype(np.float32))


def _unreadable(path: Path, name: str) -> ModelError:
    return ModelError(
        f"constant '{name}' of model '{path}' is not of float32 or 8 bits; blend files that python -m export wrote"
    )


def _make_constant(name: str, values: npt.NDArray[np.float32]) -> Any:
    data = values.astype("<f4").tobytes()
    return TensorProto(name=name, data_type=FLOAT, dims=list(values.shape), raw_data=data)


def _mean_noise(networks: list[_Network], parts: list[float]) -> float | None:
    """Return the noise that a blend adds, by its networks' metadata; None if one does not tell its own."""
    try:
        levels = [float(json.loads(network.entries[PREFIX + "network"])["noise"]) for network in networks]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return round(sum(part * level for part, level in zip(parts, levels, strict=True)), 3)


def _describe(
    base: _Network, networks: list[_Network], title: str, parts: Sequence[tuple[str, float]], noise: float | None
) -> bytes:
    """Write the metadata of a blend, with a seal, if the base has a card; return the serialized model."""
    model, entries = base.model, dict(base.entries)
    if not any(key.startswith(PREFIX) for key in entries):
        return bytes(model.SerializeToString())

    def collect(key: str) -> list[str]:
        return list(dict.fromkeys(network.entries.get(PREFIX + key, "") for network in networks))

    entries.pop(PREFIX + "held_out_loss", None)
    entries.pop(SEAL_KEY, None)
    entries |= {
        PREFIX + "style": title,
        PREFIX + "license": "; ".join(collect("license")),
        # Pairs, because two files may have styles of one name.
        PREFIX + "training_config": f"blend: {json.dumps(parts)}\n",
        PREFIX + "perceptual_source": "; ".join(collect("perceptual_source")),
        # 8-bit weights were restored; a file of bytes stays one.
        PREFIX + "precision": "u8" if entries.get(PREFIX + "precision") == "u8" else "float32",
    }
    if noise is not None:
        entries[PREFIX + "network"] = json.dumps(json.loads(entries[PREFIX + "network"]) | {"noise": noise})
    del model.metadata_props[:]
    for key, value in (*entries.items(), (SEAL_KEY, "0" * SEAL_LENGTH)):
        model.metadata_props.add(key=key, value=value)
    return seal(bytes(model.SerializeToString()))
