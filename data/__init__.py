"""Pictures come in: decoding, cropping and batching of photos."""
