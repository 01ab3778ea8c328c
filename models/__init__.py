"""What is learned with: the style network, the frozen perceptual network, the losses, the weight files."""
