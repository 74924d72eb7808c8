"""Zarr stores, read lazily and written whole or not at all; needs the extra ``zarr``.

Chunks are encoded here, in the threads or on the workers that compute them, and read
back by the zarr library, which any other reader has too.
"""

from cubekit.io.zarr.container import ZarrFormat
from cubekit.io.zarr.reading import is_store, read_store
from cubekit.io.zarr.region import save_region

__all__ = ["ZarrFormat", "is_store", "read_store", "save_region"]
