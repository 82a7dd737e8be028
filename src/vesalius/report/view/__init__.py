"""A page with surfaces in three dimensions that opens from disk: one file, no server, no network."""

from vesalius.report.view.page import LARGEST_TRIANGLES, view_html

__all__ = ["LARGEST_TRIANGLES", "view_html"]
