"""The command that repaints videos, GIFs and folders of frames with an exported style."""
