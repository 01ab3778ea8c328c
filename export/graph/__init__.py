"""The style network as an ONNX graph: written node by node, compared with torch, adapted to a delegate."""
