"""What ships: the style network as one ONNX file, its checks, and the runtime that needs no torch."""
