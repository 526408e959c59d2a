"""The report: one self-contained HTML file, and everything in it traceable."""

from assets.report.record import is_written, write_report

__all__ = ["is_written", "write_report"]
