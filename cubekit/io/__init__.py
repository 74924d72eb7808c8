"""Files: cubes read lazily, and written whole or not at all."""

from cubekit.io.planning import SavePlan, plan
from cubekit.io.reading import open_cube
from cubekit.io.rechunking import rechunk
from cubekit.io.writing import save_cube

__all__ = ["SavePlan", "open_cube", "plan", "rechunk", "save_cube"]
