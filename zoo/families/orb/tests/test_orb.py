"""Orb: the smallest model, on a dummy checkpoint where the weights are not here."""

from __future__ import annotations

from zoo.verify.suite import FamilySuite


class TestFamily(FamilySuite):
    family = "orb"
    models = ("orb-d3-xs-v2",)
