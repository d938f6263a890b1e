"""The script that `rsspecnorm audit` stands in for: the norm of every weight matrix, with NumPy.

python numpy_audit.py model.safetensors
"""

import sys

import numpy as np
from safetensors import safe_open


def main(path: str) -> None:
    with safe_open(path, framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118 - the file is no mapping
            weight = file.get_tensor(name)
            if weight.ndim != 2 or weight.dtype.kind != "f":
                continue
            sigma = float(np.linalg.norm(weight, 2))
            fro = float(np.linalg.norm(weight))
            print(name, weight.shape, sigma, fro, (fro / sigma) ** 2, sep="\t")


if __name__ == "__main__":
    main(sys.argv[1])
