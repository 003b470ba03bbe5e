"""Remedies for missing and repeated rows."""

import pytest

from tests.core import signatures
from tests.core.diagnosis.causes import remedies_of


@pytest.mark.parametrize("maker", [signatures.wrapped, signatures.padded, signatures.sampler])
def test_rows_too_many_are_not_cut_from_figures(maker):
    for cause, remedy in remedies_of(maker, "generator", method="evaluate").items():
        assert "padding='trim'" not in remedy, cause
        assert "[:50]" not in remedy, cause
