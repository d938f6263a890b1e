"""Spectral normalisation for torch: drop-ins, groups, retractions, norms.

`rsspecnorm.torch.parametrizations.spectral_norm` takes the place of the function of that name in
`torch.nn.utils.parametrizations`, `spectral_norm` that of the older one in `torch.nn.utils`. CPU
weights go through the core; weights on another device stay there. Importing `rsspecnorm` does not
import this package.
"""

from __future__ import annotations

from rsspecnorm.torch.convert import convert_state_dict
from rsspecnorm.torch.group import SpectralNormGroup, apply_spectral_norm
from rsspecnorm.torch.hook import remove_spectral_norm, spectral_norm
from rsspecnorm.torch.monitor import Monitor
from rsspecnorm.torch.norms import matrix_norm
from rsspecnorm.torch.path import force_device_path
from rsspecnorm.torch.reading import fold, module_sigma
from rsspecnorm.torch.sphere import SpectralSphere

__all__ = [
    "spectral_norm",
    "remove_spectral_norm",
    "SpectralNormGroup",
    "apply_spectral_norm",
    "SpectralSphere",
    "matrix_norm",
    "convert_state_dict",
    "Monitor",
    "module_sigma",
    "fold",
    "force_device_path",
]
