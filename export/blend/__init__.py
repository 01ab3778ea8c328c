"""The command that writes a blend of styles as one exported file."""
