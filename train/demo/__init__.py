"""The demo: train a style, export it, and repaint a photo, without any download."""
