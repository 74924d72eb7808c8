"""One recipe for many files, a bounded number of them at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubekit.arguments import require_integer
from cubekit.errors import BatchError, CubekitError
from cubekit.io import open_cube, save_cube
from cubekit.io.planning import parse_memory
from cubekit.recipe.recipe import Recipe

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

__all__ = ["apply"]

# what can be wrong with one file, and leaves the others alone
_FAILURES = (CubekitError, ValueError, TypeError, OSError, MemoryError)
_NAMED = 5  # files in a message


def apply(
    recipe: Recipe,
    files: Iterable[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    *,
    variable: str | None = None,
    at_once: int = 1,
    done: Callable[[Path, Path | Exception], None] | None = None,
    **options: Any,
) -> list[Path]:
    """Paths of the results of one recipe for many files, one file each.

    Parameters
    ----------
    recipe : Recipe
    files : iterable of path
        As `open_cube` reads them.
    folder : path
        Where the results go, each with the name of its file and the suffix ``.nc``. It
        is made if it is not there.
    variable : str, optional
        Which variable, if the files hold several.
    at_once : int, default 1
        Files under way at a time. One uses all threads by itself; more help where files
        are small. The `memory` of the options is shared between them.
    done : callable, optional
        Called for each file, as it is finished, with its path and that of its result,
        or the error that it failed with.
    **options
        As for `save_cube`: ``memory``, ``overwrite``, ``resume``, ``compression``, ...

    Returns
    -------
    list of Path
        In the order of `files`.

    Raises
    ------
    BatchError
        At the end, if some files failed: with the error of each (an `ExceptionGroup`),
        and their paths in ``files``. The results of the others are there.
    ValueError
        If two results would have the same path, or there is no file; before any starts.

    Notes
    -----
    Nothing is held in memory between files. **Missing values, chunks:** as the steps.
    **Cost:** as `save_cube` of each.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import cubekit as ck
    >>> recipe = ck.Recipe([{"do": "savgol_filter", "window_length": 5}])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one = ck.save_cube(ck.datasets.scene((4, 5)), Path(folder) / "one.nc")
    ...     results = ck.apply(recipe, [one], Path(folder) / "smooth")
    ...     results[0].relative_to(folder).as_posix()
    'smooth/one.nc'
    """
    given: object = recipe
    if not isinstance(given, Recipe):
        raise TypeError(
            f"apply: the recipe is a {type(given).__qualname__}. The steps of a recipe "
            "are checked before a file is read. Read it: Recipe.from_toml(path)."
        )
    require_integer("apply", "at_once", at_once, 1)
    options["memory"] = parse_memory(options.get("memory", "1GB")) // at_once
    sources = [Path(file) for file in files]
    targets = [Path(folder) / f"{source.stem}.nc" for source in sources]
    _require_apart(sources, targets)
    Path(folder).mkdir(parents=True, exist_ok=True)

    def one(source: Path, target: Path) -> Path | Exception:
        try:
            save_cube(recipe(open_cube(source, variable=variable)), target, **options)
            return target
        except _FAILURES as error:
            return error

    results: list[Path | Exception] = []
    with ThreadPoolExecutor(at_once) as pool:
        # in this thread where it is one at a time: there it can be interrupted
        each = map if at_once == 1 else pool.map
        for source, result in zip(sources, each(one, sources, targets), strict=True):
            results.append(result)
            if done is not None:
                done(source, result)
    _require_all(sources, results)
    return [result for result in results if isinstance(result, Path)]


def _require_all(sources: list[Path], results: list[Path | Exception]) -> None:
    failed = {
        source: result
        for source, result in zip(sources, results, strict=True)
        if isinstance(result, Exception)
    }
    if not failed:
        return
    for source, error in failed.items():
        error.add_note(f"The file is {source}.")
    names = [str(source) for source in failed][:_NAMED]
    more = len(failed) - len(names)
    raise BatchError(
        f"apply: {len(failed)} of {len(results)} files failed: {', '.join(names)}"
        f"{f' and {more} more' if more else ''}."
        f"{' The results of the others are written.' * (len(failed) < len(results))} "
        "Repeat with these files when what is wrong is mended.",
        list(failed.values()),
        list(failed),
    )


def _require_apart(sources: list[Path], targets: list[Path]) -> None:
    if not sources:
        raise ValueError(
            "apply: there are no files. Each gives one result. Give some paths, for "
            'example Path("scenes").glob("*.nc").'
        )
    first: dict[Path, Path] = {}
    for source, target in zip(sources, targets, strict=True):
        if target in first:
            raise ValueError(
                f"apply: {first[target]} and {source} would both become {target}. "
                "Results are named after their files. Rename one, or apply the recipe "
                "to each folder by itself."
            )
        first[target] = source
