"""What the layers of a network see: the photos that excite a channel most, and what in them does."""
