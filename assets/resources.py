"""What assets are handed by Dagster: the home and the profile."""

import dagster as dg

from assets.profile import Profile, load_profile
from assets.stage import Scope
from warehouse.home import Home


class Workspace(dg.ConfigurableResource):
    """The home folder and the profile of a run. Empty values mean $RARECALL_HOME and $RARECALL_PROFILE."""

    home: str = ""
    profile: str = ""

    def open_home(self) -> Home:
        """The home, proved to be writable."""
        from pathlib import Path

        return (Home(Path(self.home).expanduser().resolve()) if self.home else Home.locate()).prepare()

    def open_profile(self) -> Profile:
        """The profile, checked."""
        return load_profile(self.profile or None, self.open_home())

    def scope(self, context: dg.AssetExecutionContext) -> Scope:
        """The scope of an asset's execution; a partition key is the checkpoint."""
        checkpoint_id = context.partition_key if context.has_partition_key else None
        return Scope(self.open_home(), self.open_profile(), checkpoint_id)
