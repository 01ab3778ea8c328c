"""The command that repaints photo files with an exported style."""
