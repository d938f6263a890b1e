"""``python -m rsspecnorm``: the same command as ``rsspecnorm``."""

from rsspecnorm.cli import run

if __name__ == "__main__":
    run()
