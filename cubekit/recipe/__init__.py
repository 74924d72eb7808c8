"""Steps that are written down: as TOML, checked, and run as one."""

from cubekit.recipe.batch import apply
from cubekit.recipe.recipe import Recipe

__all__ = ["Recipe", "apply"]
