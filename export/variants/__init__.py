"""All variants of a style in one folder: float32, float16, bytes, 8-bit weights, integers, each checked on photos."""
