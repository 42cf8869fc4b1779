"""Pretrained backbones: references of what a converted one must give."""
