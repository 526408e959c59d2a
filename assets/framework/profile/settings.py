"""Settings: everything a run can be told, checked when it is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CorpusSettings(Settings):
    """Which text."""

    corpus_id: str
    source: str = Field(description="Path, hub id or 'python'; of a registered corpus it may be left out.")
    kind: str | None = None
    options: dict[str, Any] = Field(default_factory=dict, description="What the reader of this kind takes.")
    tokenizer: str | None = Field(default=None, description="Folder or hub id; without it a byte-level BPE is trained.")
    vocabulary_size: int = Field(default=4096, ge=300)
    shard_tokens: int = Field(default=50_000_000, ge=1000)
    on_bad: Literal["fail", "skip"] = "fail"


class ReleaseSettings(Settings):
    """One published release within a corpus of several, and what its text serves as."""

    release: str
    roles: tuple[Literal["memorized", "others", "counted"], ...] = Field(
        min_length=1,
        description="Where memorized paragraphs, others and utility text, and the text for unigrams come from.",
    )
    count: int | None = Field(default=None, ge=1, description="Most paragraphs drawn from it; all where absent.")
    address: str | None = Field(default=None, description="Mirror to fetch its files from.")


class ParagraphSettings(Settings):
    """Which windows of it."""

    prefix_length: int = Field(default=50, ge=2)
    continuation_length: int = Field(default=50, ge=1)
    count: int = Field(default=1000, ge=1)
    minimum_unique_share: float = Field(default=0.5, ge=0, lt=1)
    filter_words: tuple[str, ...] = Field(default=(), description="Each in six spellings, as Stoehr et al. 2024 do.")
    filter_token_sets: tuple[tuple[int, ...], ...] = Field(default=(), description="The same as token ids.")
    per_subset: dict[str, int] | None = Field(default=None, description="Subset → windows; instead of count.")
    per_occurrence_stratum: int | None = Field(
        default=None, ge=1, description="At most so many of the windows from each stratum of occurrence counts."
    )
    near_duplicate_threshold: float = Field(default=0.8, gt=0, le=1)
    shared_run_tokens: int = Field(
        default=50, ge=2, description="Paragraphs that share such a run at any offset are near duplicates too."
    )
    seed: int = 1
    screen: int | None = Field(
        default=None,
        ge=1,
        description="Windows asked for recital before the sample is drawn; it then holds what is recited or nearly so, "
        "and matched others (docs/scan.md).",
    )
    screen_checkpoint: str | None = Field(
        default=None, description="Name of the checkpoint that is asked; without one the latest of the corpus."
    )

    @model_validator(mode="after")
    def _screens_what_it_can(self) -> ParagraphSettings:
        if self.screen is not None and (self.per_subset or self.per_occurrence_stratum):
            raise ValueError("screen draws from every stratum itself; leave per_subset and per_occurrence_stratum out")
        return self

    @property
    def length(self) -> int:
        """Tokens of a paragraph."""
        return self.prefix_length + self.continuation_length


class UnigramSettings(Settings):
    """How tokens are counted."""

    unseen: Literal["add_one", "null"] = "add_one"
    by_subset: bool = True
    words: bool = Field(default=False, description="Count words, too; reads the text once more.")


class TrainingSettings(Settings):
    """A small model trained on a duplication ladder in packed text, so that recital with a known cause appears."""

    rungs: dict[int, int] = Field(description="Copies → number of paragraphs.")
    held_out: int = Field(default=0, ge=0)
    row_length: int = Field(
        default=256,
        ge=0,
        description="Tokens of a packed row, at least two paragraphs. 0 shows bare rows of one paragraph each, which "
        "teaches a position key instead of the text.",
    )
    unrelated_tokens: int = Field(default=50, ge=0, description="Mean tokens of other text around each exposure.")
    background_count: int = Field(
        default=0, ge=0, description="Of bare rows only: further paragraphs, shown once and not measured."
    )
    architecture: Literal["gpt-neo", "gpt-neox"] = "gpt-neo"
    hidden_size: int = 128
    layer_count: int = Field(default=4, ge=2)
    head_count: int = Field(default=4, ge=2)
    batch_size: int = 16
    learning_rate: float = 2e-3
    warmup_share: float = 0.08
    checkpoint_count: int = Field(default=5, ge=2, description="Evenly spaced; the first is the untrained model.")
    threads: int = Field(default=2, ge=1)
    bfloat16_products: bool = Field(
        default=False, description="Multiply in bfloat16 where the processor does so itself; weights stay in float32."
    )
    seed: int = 1


class TrainingOrderSettings(Settings):
    """The published order in which a suite read the corpus, which must be token files; see docs/corpora.md."""

    layout: Literal["rows", "chunks", "neox"]
    sequence_length: int = Field(
        ge=2, description="Tokens of a row or chunk; of neox the setting seq-length, one less than a sequence holds."
    )
    batch_size: int = Field(ge=1, description="Sequences of one optimizer step.")
    index: str | None = Field(
        default=None,
        description="chunks: global_indices.npy; neox: what the names of the three index files begin with.",
    )
    checkpoints: str = Field(default="*", description="Checkpoints trained in this order, as a pattern of their ids.")

    @model_validator(mode="after")
    def _index_is_named(self) -> TrainingOrderSettings:
        if self.layout != "rows" and self.index is None:
            raise ValueError(f"training_order.layout {self.layout!r} needs training_order.index, the index files")
        return self


PerturbationPolicy = Literal["uniform", "frequency_matched", "plausible", "second_choice", "deletion"]


class ProbeSettings(Settings):
    """How models are measured."""

    device: str = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = 32
    beginning_of_sequence: Literal["auto", "never", "always"] | Annotated[int, Field(ge=0)] = Field(
        default="auto",
        description="Token before every paragraph: as the suite was trained, none, the tokenizer's own, or an id.",
    )
    context_lengths: tuple[int, ...] = Field(
        default=(), description="k of k-extractability; empty means a fifth, half and all of the prefix."
    )
    offsets: tuple[int, ...] = Field(
        default=(0, 1, 16, 64, 128),
        description="Tokens of other text before a paragraph at which recital is tried; those that fit the model.",
    )
    offset_paragraphs: int = Field(
        default=32, ge=1, description="Clusters tried at other offsets that are nearly recited, beside all that are."
    )
    shard_size: int = Field(default=256, ge=1, description="Paragraphs per part of the record.")
    paragraphs_per_group: int = Field(
        default=48, ge=1, description="MP and NMP clusters that are perturbed and differentiated."
    )
    swept_paragraphs: int | None = Field(
        default=None, ge=1, description="MP clusters that are perturbed, where more than are differentiated."
    )
    perturbation_draws: dict[PerturbationPolicy, int] = Field(
        default={"uniform": 1},
        min_length=1,
        description="Draws per position of each policy; marts and claims rest on the first one.",
    )
    continuation_attention: bool = Field(
        default=False, description="Also keep what every query of the continuation looks at, for perturbed paragraphs."
    )
    bootstrap_draws: int = Field(default=1000, ge=100)
    permutations: int = Field(default=500, ge=100)
    seed: int = 1

    @field_validator("perturbation_draws")
    @classmethod
    def _draws_are_possible(cls, draws: dict[str, int]) -> dict[str, int]:
        for policy, count in draws.items():
            if count < 1 or (policy == "deletion" and count > 1):
                most = "exactly 1" if policy == "deletion" else "at least 1"
                raise ValueError(f"{policy} has {count} draws and needs {most}")
        return draws


class ReportSettings(Settings):
    """What the report shows."""

    browser_paragraphs: int = Field(default=1000, ge=1, description="Most paragraphs in the browser.")
    redact: bool = Field(default=False, description="Hide e-mail and IP addresses, keys, tokens, phone numbers.")
    opens_with_claims: bool = Field(
        default=False, description="Begin with what the papers report beside what was measured here."
    )


class ClaimSettings(Settings):
    """When an effect is too small to matter, and what counts as the papers' own model and corpus."""

    smallest_effects: dict[str, float] = Field(
        default={}, description="Claim → smallest distance from the null that is of interest, in the claim's unit."
    )
    papers_weights: tuple[str, ...] = Field(
        default=(), description="weights_sha256 of copies of GPT-Neo 125M on disk; the hub's id is known."
    )
    papers_corpus: str = Field(default="pile", description="Corpus id under which the Pile is registered.")


class LocalizationSettings(Settings):
    """What is patched and taken away."""

    paragraphs: int = Field(
        default=20, ge=1, description="MP and NMP clusters that are patched and intervened on, the first of the group."
    )
    sweeps: tuple[str, ...] = Field(
        default=("identity_blocks", "identity_range", "identity_heads", "zero_blocks", "zero_heads", "mean_blocks",
                 "mean_heads", "uniform_blocks", "uniform_heads", "zero_mlps", "mean_mlps"),
        description="Kind (identity, uniform, zero, mean) and what: blocks, heads, range (last quartile), mlps.",
    )  # fmt: skip
    components: tuple[Literal["q", "k", "v", "z"], ...] = ("q", "k", "v", "z")
    random_choices: int = Field(default=40, ge=1, description="Random choices beside each localization.")
    harness_tasks: tuple[str, ...] = Field(default=(), description="Tasks of lm-evaluation-harness (extra `harness`).")
    harness_documents: int | None = Field(default=None, ge=1, description="Documents per task; all where absent.")
    harness_include: str | None = Field(default=None, description="Folder of further task files.")


class EditSettings(Settings):
    """Unlearning and editing; the defaults are those of Stoehr et al. 2024, section 5.3."""

    every_checkpoint: bool = Field(default=False, description="Also those before the last of a training run.")
    objectives: tuple[Literal["unlearn", "edit"], ...] = ("unlearn", "edit")
    selections: tuple[str, ...] = Field(default=("all", "top:0.001", "random:0.001"), min_length=1)
    protocols: tuple[Literal["single", "set", "held_out"], ...] = ("single", "held_out")
    targets: int = Field(default=20, ge=1, description="Memorized paragraphs, one per cluster.")
    controls: int = Field(default=10, ge=0, description="Paragraphs whose distribution the KL term keeps.")
    evaluated: int = Field(default=20, ge=1, description="Paragraphs of every other evaluation set.")
    folds: int = Field(default=2, ge=2, description="Folds of the protocol held_out.")
    steps: int = Field(default=10, ge=1)
    learning_rate: float = Field(default=1e-5, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    nll_weight: float = Field(default=0.1, gt=0)
    kl_weight: float = Field(default=1.0, ge=0)
    watched_steps: tuple[int, ...] = Field(default=(1, 2, 5), description="Steps at which the front is read.")
    perturbed_prefixes: int = Field(default=4, ge=0)
    shorter_by: int = Field(default=10, ge=0, description="Tokens the shorter prefix lacks at its start.")
    longer_by: int = Field(default=10, ge=0, description="Continuation tokens the longer prefix is given.")
    temperatures: tuple[float, ...] = Field(default=(1.0, 0.7), min_length=1)
    relearning_limit: int = Field(default=20, ge=0, description="Most steps of fine-tuning on the targets.")
    noise_strengths: tuple[float, ...] = (0.0, 0.0025, 0.005, 0.0075)
    noise_regions: Literal["heads", "components"] = "heads"
    noise_share: float = Field(default=1.0, gt=0, le=1, description="Top part of each region that carries noise.")


class WatchSettings(Settings):
    """One place that checkpoints arrive in, beside `<home>/checkpoints`."""

    kind: Literal["folder", "manifest", "hub"]
    path: str = Field(default="", description="Folder of checkpoint folders, or file with one JSON object per line.")
    repository: str = Field(default="", description="Hub id whose revisions are checkpoints.")
    revisions: str = Field(
        default="", description="Pattern of branches and tags; without one all whose name tells a training step."
    )
    steps: tuple[int, ...] = Field(default=(), description="Only these training steps; empty means all.")
    settle_seconds: float = Field(default=5.0, ge=0, description="Files must not have changed for so long.")

    @model_validator(mode="after")
    def _says_where(self) -> WatchSettings:
        needed = "repository" if self.kind == "hub" else "path"
        if not getattr(self, needed):
            raise ValueError(f"a watched {self.kind} needs `{needed}`")
        return self


class DocumentSettings(Settings):
    """Documents of which every checkpoint is asked what it knows by heart (docs/scan.md)."""

    paths: tuple[str, ...] = Field(min_length=1, description="Files, or folders of files.")
    prefix_length: int = Field(default=50, ge=2)
    continuation_length: int = Field(default=50, ge=1)
    stride: int = Field(default=1, ge=1, description="Tokens between two starts.")
    method: Literal["anchored", "screened", "exact"] = "anchored"
    row_starts: int = Field(default=200, ge=1, description="Starts that a row of the anchored pass reads.")
    least_match: int = Field(default=20, ge=1, description="Shorter recitals make no passage.")
    triggers: bool = Field(default=False, description="Sweep the prefixes of the longest passages.")
    seed: int = 1


class EngineProfile(Settings):
    """Where the shards of the model stages run. The tables are the same wherever that is."""

    kind: Literal["local", "ray"] = Field(default="local", description="This machine, or Ray (extra `ray`).")
    workers: int = Field(default=1, ge=1, description="Shards at a time; one local worker is the process itself.")
    threads: int | None = Field(
        default=None, ge=1, description="torch threads per worker; None leaves it to torch. Equal numbers, equal bits."
    )
    cpus_per_worker: float = Field(default=1.0, gt=0, description="Processors that a worker asks Ray for.")
    shard_limit_s: float | None = Field(
        default=None, gt=0, description="A worker that spends more seconds on a shard is replaced."
    )
    attempts: int = Field(default=3, ge=1, description="Times a shard is tried when its workers die or hang.")
    address: str | None = Field(
        default=None, description="A running Ray cluster; None starts one here. It must see the home folder."
    )


class Profile(Settings):
    """One complete setting of the flow."""

    name: str
    description: str = ""
    corpus: CorpusSettings
    releases: tuple[ReleaseSettings, ...] = Field(
        default=(), description="Published releases that together are the corpus; fetched when it runs."
    )
    paragraphs: ParagraphSettings = ParagraphSettings()
    unigrams: UnigramSettings = UnigramSettings()
    training: TrainingSettings | None = None
    training_order: TrainingOrderSettings | None = Field(
        default=None, description="Without it nobody knows when a paragraph was read."
    )
    checkpoints: tuple[str, ...] = Field(
        default=(), description="Folders or hub ids (`owner/name@revision`), registered when it runs."
    )
    watch: tuple[WatchSettings, ...] = Field(default=(), description="Where further checkpoints arrive.")
    probes: ProbeSettings = ProbeSettings()
    edits: EditSettings | None = Field(default=None, description="Without it nothing is unlearned or edited.")
    report: ReportSettings = ReportSettings()
    claims: ClaimSettings = ClaimSettings()
    engine: EngineProfile = EngineProfile()
    localization: LocalizationSettings = LocalizationSettings()
    documents: DocumentSettings | None = Field(default=None, description="Without it no document is scanned.")

    @model_validator(mode="after")
    def _something_to_measure(self) -> Profile:
        if self.training and self.training.hidden_size % self.training.head_count:
            raise ValueError("training.hidden_size must be a multiple of training.head_count")
        if self.training and self.training_order:
            raise ValueError("a profile trains its own model or names a suite's training_order, not both")
        if self.training and 0 < self.training.row_length < 2 * self.paragraphs.length:
            raise ValueError(f"training.row_length must be 0 or at least two paragraphs, {2 * self.paragraphs.length}")
        if self.training and self.training.row_length and self.training.background_count:
            raise ValueError(
                "training.background_count is for bare rows (training.row_length = 0); set unrelated_tokens"
            )
        if self.paragraphs.screen is not None and (self.training or self.releases):
            raise ValueError(
                "paragraphs.screen asks a finished model for windows of a corpus; a [training] ladder plants its own, "
                "and [[releases]] are samples already"
            )
        if not all(1 <= length <= self.paragraphs.prefix_length for length in self.probes.context_lengths):
            raise ValueError(f"probes.context_lengths must lie in 1..{self.paragraphs.prefix_length}, the prefix")
        return self

    @property
    def context_lengths(self) -> tuple[int, ...]:
        """Lengths of context that extractability is measured at, ascending."""
        prefix = self.paragraphs.prefix_length
        chosen = self.probes.context_lengths or (max(1, prefix // 5), max(1, prefix // 2), prefix)
        return tuple(sorted(set(chosen)))

    @property
    def corpus_id(self) -> str:
        """Partition of the corpus tables."""
        return self.corpus.corpus_id


def settings_of(model: BaseModel, *without: str) -> dict[str, Any]:
    """A settings object as JSON for a manifest, leaving out what does not change the result."""
    return model.model_dump(mode="json", exclude=set(without))


def releases_for(profile: Profile, role: str) -> list[str]:
    """Releases of the profile's corpus that have a role; none where the corpus is not made of releases."""
    return [one.release for one in profile.releases if role in one.roles]


def roles_key(profile: Profile) -> dict[str, Any]:
    """Key of stages that look at roles; nothing where the corpus is not made of releases."""
    return {"roles": {one.release: sorted(one.roles) for one in profile.releases}} if profile.releases else {}


def settings_named(model: BaseModel, names: set[str]) -> dict[str, Any]:
    """Some settings of an object as JSON for a manifest; names of other objects are passed over."""
    return model.model_dump(mode="json", include=names & set(known_settings(model)))


def known_settings(model: Any) -> set[str]:
    """Names of an object's settings."""
    return set(type(getattr(model, "_settings", model)).model_fields)
