"""The command that shows many styles on one photo, or one style on many photos, on one sheet."""
