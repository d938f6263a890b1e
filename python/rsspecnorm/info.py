"""What was built, and what of it runs here."""

from __future__ import annotations

from typing import Any

from rsspecnorm import _core
from rsspecnorm.threads import get_num_threads

__version__ = _core.version()


def build_info() -> dict[str, Any]:
    """Return the version, the SIMD tiers and the number of threads.

    Returns
    -------
    dict
        ``version`` (str), ``level`` (str, the tier in use: ``"portable"``, ``"avx2"`` or
        ``"avx512"``), ``levels_available`` (list of str, narrowest first) and ``num_threads``
        (int).

    Raises
    ------
    RuntimeError
        If ``RSSPECNORM_LEVEL`` names a tier that this CPU lacks.

    Examples
    --------
    >>> import rsspecnorm
    >>> info = rsspecnorm.build_info()
    >>> info["level"] in info["levels_available"]
    True
    """
    level, levels_available = _core.levels()
    return {
        "version": __version__,
        "level": level,
        "levels_available": levels_available,
        "num_threads": get_num_threads(),
    }
