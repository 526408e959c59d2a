"""When the SQL tail refreshes by itself: the condition that its assets carry."""

import dagster as dg

_CHANGED = dg.AutomationCondition.any_deps_updated() | dg.AutomationCondition.newly_missing()
_HANDLED = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
_BUSY = dg.AutomationCondition.in_progress() | dg.AutomationCondition.any_deps_in_progress()

WHEN_TABLES_CHANGE = (_CHANGED.since(_HANDLED) & ~_BUSY).with_label(
    "a table it reads has changed and none is being written"
)
"""Unlike `eager()` it does not wait until every partition of every table is there: one checkpoint is enough."""
