"""DeepDream: raise what a layer sees in a photo."""
