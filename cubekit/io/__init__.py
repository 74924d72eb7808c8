"""Files: cubes read lazily, and written whole or not at all."""

from cubekit.io.emit import good_samples
from cubekit.io.orthorectifying import orthorectify
from cubekit.io.planning import SavePlan, plan
from cubekit.io.reading import open_cube
from cubekit.io.rechunking import rechunk
from cubekit.io.writing import save_cube

__all__ = [
    "SavePlan",
    "good_samples",
    "open_cube",
    "orthorectify",
    "plan",
    "rechunk",
    "save_cube",
]
