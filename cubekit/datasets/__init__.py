"""Scenes built from formulas: known materials, known noise, nothing to download."""

from cubekit.datasets.alteration import alteration_scene, alteration_truth
from cubekit.datasets.scene import scene, scene_truth

__all__ = ["alteration_scene", "alteration_truth", "scene", "scene_truth"]
