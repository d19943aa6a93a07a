"""Runnable comparisons and their committed results."""
