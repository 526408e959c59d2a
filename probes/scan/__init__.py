"""Scan of a document: which of its passages a model recites, in three ways, beside what predictability alone gives."""

from probes.scan.plan import ScanPlan
from probes.scan.ranges import ScanModels, scan_range

__all__ = ["ScanModels", "ScanPlan", "scan_range"]
