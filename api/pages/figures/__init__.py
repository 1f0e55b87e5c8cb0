"""Figures and table columns as SVG and HTML."""
