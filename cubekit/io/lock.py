"""The one lock around HDF5 and netCDF-C, which are not made for threads."""

from __future__ import annotations

from xarray.backends.locks import HDF5_LOCK, NETCDFC_LOCK, combine_locks

__all__ = ["LOCK"]

# xarray's readers take the same locks
LOCK = combine_locks([HDF5_LOCK, NETCDFC_LOCK])
