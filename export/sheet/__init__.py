"""The command that shows many styles or strokes on one photo, or one style on many photos, on one sheet."""
