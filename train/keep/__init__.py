"""The command that keeps a trained style in a quarter of the bytes."""
