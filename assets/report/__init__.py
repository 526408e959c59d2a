"""The report: one self-contained HTML file, and everything in it traceable."""

from assets.report.asset import is_written, report, write_report

__all__ = ["is_written", "report", "write_report"]
