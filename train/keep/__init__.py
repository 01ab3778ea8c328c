"""The command that keeps a trained style in half the bytes."""
