"""The docstrings of the adapter: complete, and their examples run."""

import doctest
import inspect

import pytest

import rsspecnorm.torch
from rsspecnorm.torch import parametrizations

PUBLIC = [getattr(rsspecnorm.torch, name) for name in rsspecnorm.torch.__all__]
PUBLIC.append(parametrizations.spectral_norm)


@pytest.mark.parametrize("item", PUBLIC, ids=lambda item: f"{item.__module__}.{item.__name__}")
def test_docstring_has_examples_that_run(item, path):
    if path != "core":
        return  # once is enough
    tests = doctest.DocTestFinder(recurse=False).find(item, item.__name__)
    assert sum(len(test.examples) for test in tests) > 0
    for test in tests:
        report = []
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        assert runner.run(test, out=report.append).failed == 0, "".join(report)


@pytest.mark.parametrize("item", PUBLIC, ids=lambda item: f"{item.__module__}.{item.__name__}")
def test_every_parameter_is_described(item):
    text = inspect.getdoc(item) or ""
    for name in inspect.signature(item).parameters:
        assert name in text
