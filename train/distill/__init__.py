"""The training and evaluation of the small perceptual network."""
