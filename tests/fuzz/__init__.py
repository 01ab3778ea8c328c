"""Attacks on every command: mutated files and command lines by the thousand, each in a process of its own."""
