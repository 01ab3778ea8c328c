"""The command that measures exported files on this machine."""
