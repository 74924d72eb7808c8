"""Files: cubes read lazily, and written whole or not at all."""

from cubekit.io.reading import open_cube
from cubekit.io.writing import save_cube

__all__ = ["open_cube", "save_cube"]
