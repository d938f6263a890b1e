"""Files that ``torch.save`` wrote: weights only, mapped where the format allows it."""

from __future__ import annotations

import re
import warnings
from itertools import islice
from typing import TYPE_CHECKING, Any

from rsspecnorm.cli.errors import CommandError, describe
from rsspecnorm.cli.sources import MEASURED, Listed, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rsspecnorm.cli.columns import Row
    from rsspecnorm.cli.sources import OnRows, Settings

_NAMES = {
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "complex64": "C64",
    "complex128": "C128",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2": "F8_E5M2",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
    "float4_e2m1fn_x2": "F4",
}
# Beyond any state dict: a file can nest without end, and hold one list twice, that again twice.
_MAX_DEPTH = 32
_MAX_TENSORS = 100_000
# A view that repeats its memory is copied whole; one of more bytes than this is taken for a bomb.
_BOMB_BYTES = 1 << 30


class TorchFile:
    """
    The tensors of a state dict, nested ones named with dots.

    Parameters
    ----------
    path : str
        A regular file.

    Raises
    ------
    CommandError
        When torch is not installed, or refuses the file.
    """

    def __init__(self, path: str) -> None:
        try:
            import torch
        except ImportError as error:
            message = f"{path}: needs torch to be read; install torch or convert to safetensors"
            raise CommandError(message) from error
        self.torch, self.path = torch, path
        tensors = list(islice(self._flatten("", self._load(path), 0), _MAX_TENSORS + 1))
        if len(tensors) > _MAX_TENSORS:
            raise CommandError(f"{path}: holds more than {_MAX_TENSORS} tensors")
        self.values = [tensor for _, tensor in tensors]
        self.listed = [
            Listed(spelled(name), _dtype(tensor), tuple(tensor.shape), spelled(path))
            for name, tensor in tensors
        ]
        if not tensors:
            raise CommandError(f"{path}: holds no tensor")

    def tensors(self) -> list[Listed]:
        """List the tensors."""
        return self.listed

    def run(self, keep: list[int], settings: Settings, on_rows: OnRows) -> list[dict[str, Any]]:
        """Measure those that are kept: views in one call, what must be copied one by one."""
        from rsspecnorm import _core

        copies = [i for i in keep if self._must_copy(i)]
        views = sorted(set(keep) - set(copies))
        skipped = []
        for group in (views, *([i] for i in copies)):
            if group:
                collect = _placed(on_rows, [(self.listed[i].name, i) for i in group])
                skipped += _core.audit_arrays(list(map(self._item, group)), settings, collect)
        return skipped

    def _item(self, index: int) -> tuple[str, str, str, list[int], Any]:
        import numpy as np

        listed, tensor = self.listed[index], self.values[index]
        if listed.dtype not in MEASURED or tensor.layout != self.torch.strided:
            flat = np.empty(0, np.uint8)
        else:
            size, memory = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
            if size > max(memory, _BOMB_BYTES):
                raise CommandError(f"{self.path}: {listed.name}: unpacks to {size} bytes")
            tensor = tensor.detach().resolve_neg()
            if tensor.is_complex():
                tensor = self.torch.view_as_real(tensor.resolve_conj())
            # NumPy has no bfloat16, so every type goes through as bytes.
            flat = tensor.contiguous().reshape(-1).view(self.torch.uint8).numpy()
        return listed.file, listed.name, listed.dtype, list(listed.shape), flat

    def _must_copy(self, index: int) -> bool:
        tensor = self.values[index]
        return tensor.layout == self.torch.strided and not tensor.is_contiguous()

    def _load(self, path: str) -> Any:  # noqa: ANN401 - whatever was saved
        options = {"weights_only": True, "map_location": "cpu"}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice for who wrote the file
                try:
                    return self.torch.load(path, mmap=True, **options)
                except RuntimeError as error:
                    if "mmap" not in str(error):
                        raise
                    return self.torch.load(path, **options)  # the format before torch 1.6
        except Exception as error:  # torch raises many kinds, some with pages of advice
            raise CommandError(f"{path}: torch cannot load it: {_reason(error)}") from error

    def _flatten(self, prefix: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
        if isinstance(value, self.torch.Tensor):
            yield prefix or "tensor", value
        elif isinstance(value, dict | list | tuple):
            if depth == _MAX_DEPTH:
                raise CommandError(f"{self.path}: is nested more than {_MAX_DEPTH} deep")
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                yield from self._flatten(f"{prefix}.{key}" if prefix else str(key), item, depth + 1)


def _placed(on_rows: OnRows, names: list[tuple[str, int]]) -> OnRows:
    """Give rows of a call the places that their tensors have in the file."""
    # The first of a name: rows of one place stay in the order of the call.
    places = dict(reversed(names))

    def place(name: str) -> int:
        return places.get(name, places.get(name.rpartition("[")[0], names[0][1]))  # or a slice

    def collect(rows: list[Row]) -> None:
        on_rows([{**row, "index": (place(row["name"]), row["index"])} for row in rows])

    return collect


def _reason(error: Exception) -> str:
    """Say in short what torch says at length."""
    text = describe(error)
    unsafe = re.search(r"Unsupported (?:global|operand|class): ?(?:GLOBAL )?([\w.]+)", text)
    found = "" if unsafe is None else f", it needs {unsafe[1]}, which is not loaded from files"
    return text.split(". ")[0][:200] + found


def _dtype(tensor: Any) -> str:  # noqa: ANN401 - torch is not imported for types
    name = str(tensor.dtype).removeprefix("torch.")
    known = _NAMES.get(name, name)
    # A sparse tensor has no bytes to read in order, and one without a device none at all.
    if tensor.is_meta:
        return f"{known} (meta)"
    return known if "strided" in str(tensor.layout) else f"{known} ({tensor.layout})"
