"""Scenes built from formulas: known materials, known noise, nothing to download."""

from cubekit.datasets.scene import scene, scene_truth

__all__ = ["scene", "scene_truth"]
