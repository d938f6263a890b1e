"""Spectral normalisation for torch."""
from rsspecnorm.torch.hook import remove_spectral_norm, spectral_norm
from rsspecnorm.torch.path import force_device_path
from rsspecnorm.torch.reading import fold, module_sigma
