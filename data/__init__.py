"""Pictures come in: files, decoding, cropping and batching of photos, drawn scenes and styles."""
