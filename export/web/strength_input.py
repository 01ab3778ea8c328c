"""A strength that the page can set: it must be given, where in most files it may be left out."""

from __future__ import annotations

import json

from export.contract import PREFIX, SEAL_KEY, SEAL_LENGTH, STRENGTH, seal
from export.runtime.onnx_messages import ModelProto

_CONTRACT = PREFIX + "contract"


def require_strength(content: bytes) -> bytes:
    """Take the default away from a file's strength.

    In ONNX a default is a constant of the input's name, and ONNX Runtime's bindings for JavaScript refuse a value for
    such an input.

    Args:
        content: A file that ``python -m export`` wrote.

    Returns:
        The file with its strength required, and sealed again; the same bytes if it has no default.
    """
    model = ModelProto.FromString(content)
    constants = [constant for constant in model.graph.initializer if constant.name != STRENGTH]
    if len(constants) == len(model.graph.initializer):
        return content
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    contract = json.loads(entries[_CONTRACT])
    del contract[STRENGTH]["default"]
    # The contract as export.contract writes it; the seal comes last.
    entries |= {_CONTRACT: json.dumps(contract, sort_keys=True), SEAL_KEY: "0" * SEAL_LENGTH}
    del model.metadata_props[:]
    for key in sorted(entries, key=lambda name: name == SEAL_KEY):
        model.metadata_props.add(key=key, value=entries[key])
    return seal(model.SerializeToString())
