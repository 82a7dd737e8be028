"""A trained segmenter on disk: plan, weights, card and provenance; nothing in it is code."""

from vesalius.bundle.bundle import Bundle, Weights, built_in
from vesalius.bundle.card import Card

__all__ = ["Bundle", "Card", "Weights", "built_in"]
