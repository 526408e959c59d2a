"""Choice of a reader for a source: by kind when it is named, by content when it is not. Options are typed here."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, get_type_hints

from corpus_stats.errors import CorpusError
from corpus_stats.readers import contents
from corpus_stats.readers.base import Reader
from corpus_stats.readers.files import FileChoice, Listing, list_files, matches
from corpus_stats.readers.huggingface import HuggingFaceReader, is_saved_data_set
from corpus_stats.readers.jsonl import JsonlReader
from corpus_stats.readers.python_installation import PythonInstallationReader
from corpus_stats.readers.tables import ArrowReader, CsvReader, ParquetReader
from corpus_stats.readers.text_folder import TextFolderReader

PRETOKENIZED = "token-files"  # kinds without a reader: see corpus_stats.tokens
ID_LINES = "token-lines"
KINDS: dict[str, type[Reader]] = {
    reader.kind: reader
    for reader in (
        PythonInstallationReader, TextFolderReader, JsonlReader, ParquetReader, ArrowReader, CsvReader,
        HuggingFaceReader,
    )
}  # fmt: skip
_KIND_OF_FILES = {
    contents.JSON_LINES: JsonlReader.kind,
    contents.JSON_WHOLE: JsonlReader.kind,
    contents.PARQUET: ParquetReader.kind,
    contents.ARROW: ArrowReader.kind,
    contents.CSV: CsvReader.kind,
    contents.ID_LINES: ID_LINES,
    contents.TOKENS: PRETOKENIZED,
}
_BESIDE_DATA = (
    "readme*", "license*", "licence*", "notice*", "citation*", "changelog*", "*.md", "*.yaml", "*.yml", "*.toml",
    "*.py", "*.sh", "*.log", "*sums*", "*.sha256", "*.md5", "dataset_info*", "*.pkl",
)  # fmt: skip


def open_source(source: str, kind: str | None = None, **options: Any) -> Reader:
    """Opens a corpus source without reading it.

    Args:
        source: "python" for the Python installation, else a path.
        kind: one of `KINDS`; None looks at the source.
        **options: what the reader of that kind takes, `on_bad` among them.

    Raises:
        CorpusError: the kind is unknown, the source is missing or mixed, or an option is unknown or of another type.
    """
    chosen = kind or detect_kind(source, **options)
    if chosen in (PRETOKENIZED, ID_LINES):
        raise CorpusError(f"{source} holds token ids, not text; register it with register_token_files instead.")
    if chosen not in KINDS:
        raise CorpusError(f"There is no reader {chosen!r} for {source}; choose one of {', '.join(KINDS)}.")
    reader = KINDS[chosen]
    return reader(source, **checked_options(f"The {chosen} reader", reader.__init__, options, ("self", "source")))


def checked_options(who: str, taker: Callable[..., Any], options: dict[str, Any], without: Iterable[str]) -> dict:
    """Options as the types that a function's signature says; texts such as "3" or ".txt,.md" become them.

    Raises:
        CorpusError: an option is unknown or of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    given = {p.name: p.annotation for p in inspect.signature(taker).parameters.values() if p.name not in without}
    hints = get_type_hints(SimpleNamespace(__annotations__=given), getattr(taker, "__globals__", None))
    checked = {}
    for name, value in options.items():
        if name not in hints:
            raise CorpusError(f"{who} has no option {name!r}; it takes {', '.join(hints)}.")
        try:
            checked[name] = TypeAdapter(_listed(hints[name])).validate_python(value)
        except ValidationError as error:
            told = error.errors()[0]["msg"]
            raise CorpusError(f"The option {name} = {value!r} is wrong ({told}); correct it.") from error
    return checked


def _listed(hint: Any) -> Any:
    """A type that takes "a,b" where a sequence of texts is wanted."""
    from pydantic import BeforeValidator

    if "Sequence" not in str(hint):
        return hint
    return Annotated[
        hint, BeforeValidator(lambda v: [part for part in v.split(",") if part] if isinstance(v, str) else v)
    ]


def detect_kind(source: str, **options: Any) -> str:
    """Kind of a source by the content of its files: one of `KINDS`, `PRETOKENIZED` or `ID_LINES`.

    Args:
        source: "python" or a path.
        **options: of the reader; `text_field`, `include`, `exclude` and `split` decide which files count.

    Raises:
        CorpusError: there is nothing at `source`, or it holds files of several kinds.
    """
    if source == "python":
        return PythonInstallationReader.kind
    path = Path(source).expanduser()
    if not path.exists():
        raise CorpusError(
            f"The corpus source {source} does not exist; give a path, 'python', or a hub name with kind='huggingface'."
        )
    if path.is_dir() and is_saved_data_set(path):
        return HuggingFaceReader.kind
    return kind_of_listing(*survey(path, **options))


def survey(path: Path, **options: Any) -> tuple[Listing, dict[str, str]]:
    """Files that the globs and the split choose, and the kind of each by its content."""
    chosen = FileChoice(_globs(options.get("include")), _globs(options.get("exclude")), options.get("split"))
    listing = list_files(path.resolve(), chosen)
    text_field = str(options.get("text_field", "text"))
    return listing, {name: contents.kind_of_file(file, text_field) for name, file in listing.files}


def _globs(given: Any) -> tuple[str, ...]:
    return tuple(given.split(",")) if isinstance(given, str) else tuple(given or ())


def kind_of_listing(listing: Listing, kinds: dict[str, str]) -> str:
    """The one kind of corpus that a folder holds, once files that stand beside data are set aside.

    Raises:
        CorpusError: there are several.
    """
    data = {name: kind for name, kind in kinds.items() if kind in _KIND_OF_FILES}
    counts = Counter(_KIND_OF_FILES[kind] for kind in data.values())
    if PRETOKENIZED in counts:  # tables beside token files say where documents lie
        counts = Counter({kind: count for kind, count in counts.items() if kind != CsvReader.kind})
    texts = [name for name, kind in kinds.items() if kind in (contents.TEXT, contents.BINARY)]
    beside = [name for name in texts if matches(name.lower(), _BESIDE_DATA)]
    if not counts:
        pointers = [name for name, kind in kinds.items() if kind == contents.POINTER]
        if pointers and not texts:
            raise CorpusError(f"{pointers[0]} of {listing.root} is a pointer of Git LFS; fetch it with `git lfs pull`.")
        only_json = not texts and contents.JSON_OTHER in kinds.values()
        return JsonlReader.kind if only_json else TextFolderReader.kind
    if len(texts) > len(beside):
        counts[TextFolderReader.kind] = len(texts) - len(beside)
    if len(counts) > 1:
        found = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        raise CorpusError(
            f"{listing.root} holds files of several kinds: {found}; say which with kind (--kind), or name the files "
            "with include and exclude (--option include='*.jsonl')."
        )
    return next(iter(counts))
