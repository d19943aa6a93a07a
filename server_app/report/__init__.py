"""``report.html``: one self-contained page about a run, made from what its folder holds.

The page loads nothing, runs no script, and is complete for a run that failed, goes on, or measured little. All
names and texts in a run folder may come from other parties: they reach the page only through escaping.
"""

from server_app.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
