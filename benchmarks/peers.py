"""Scoring beside what else could do it: same rows, same threads, one process, outputs compared, losses published.

    python -m benchmarks.peers                        # writes benchmarks/results/peers.md
    python -m benchmarks.peers --small --rounds 1     # every step on a small model; writes nothing

Peers that are not installed are left out and named: `pip install onnx onnxscript onnxruntime openvino`. ONNX Runtime
and OpenVINO get a static export of the whole work: NLL and most likely token of every position, without the entropy and
the margin that scoring finds beside them. Ways take turns, a round at a time; ratios are medians of ratios within a
round, of CPU time, so that they survive other work on the machine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from benchmarks.bench_scoring import LENGTH, PREFIX, build, machine, paragraphs, shaped_like_125m, weight_matmuls
from benchmarks.on_gpu import half_recited, size_of
from probes.forward import fused, products
from probes.scoring.teacher_forced import score_paragraphs

RESULTS = Path(__file__).parent / "results" / "peers.md"
OURS = "rarecall, scores"
BATCH = 8
Answer = tuple[np.ndarray, np.ndarray | None]
"""Most likely token, and NLL in nats where the way gives it: [paragraph, position from 1]."""


class Whole(torch.nn.Module):
    """NLL and most likely token of every position but the first, as a graph that can be exported."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[paragraph, position] ids to two arrays [paragraph, position - 1]."""
        logits = self.model(input_ids=ids[:, :-1], use_cache=False).logits.float()
        nll = -logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        return logits.argmax(-1), nll


def in_batches(run: Callable[[torch.Tensor], tuple[Any, Any]], ids: torch.Tensor) -> Callable[[], Answer]:
    """A way that reads BATCH rows at a time."""

    def _run() -> Answer:
        with torch.inference_mode():
            found = [tuple(np.asarray(part) for part in run(rows)) for rows in ids.split(BATCH)]
        return np.concatenate([best for best, _ in found]), np.concatenate([nll for _, nll in found])

    return _run


def ours(model: PreTrainedModel, ids: torch.Tensor, with_onednn: bool = True) -> Callable[[], Answer]:
    """rarecall; without oneDNN as on processors where it brings nothing."""

    def _run() -> Answer:
        before = fused.prefers_onednn
        if not with_onednn:
            fused.prefers_onednn = products.prefers_onednn = lambda: False  # type: ignore[assignment]
        try:
            tokens = score_paragraphs(model, ids, PREFIX).tokens
        finally:
            fused.prefers_onednn = products.prefers_onednn = before
        return tuple(tokens[name].to_numpy().reshape(len(ids), -1) for name in ("argmax_id", "nll_nats"))  # type: ignore[return-value]

    return _run


def generated(model: PreTrainedModel, ids: torch.Tensor) -> Callable[[], Answer]:
    """transformers' own greedy decoding of all rows at once, with its cache; only the continuation, and no NLL."""

    def _run() -> Answer:
        prefix, count = ids[:, :PREFIX], LENGTH - PREFIX
        with torch.inference_mode():
            written = model.generate(  # type: ignore[operator]
                prefix, attention_mask=torch.ones_like(prefix), max_new_tokens=count, min_new_tokens=count,
                do_sample=False, pad_token_id=0,
            )  # fmt: skip
        return written[:, 1:].numpy(), None

    return _run


def compiled(model: PreTrainedModel, ids: torch.Tensor, _: Path) -> Callable[[], Answer]:
    """torch.compile of the whole work."""
    return in_batches(torch.compile(Whole(model)), ids)


def exported(model: PreTrainedModel, ids: torch.Tensor, folder: Path) -> Path:
    """The whole work as an ONNX file for BATCH rows; made once."""
    path = folder / "whole.onnx"
    if not path.exists():
        torch.onnx.export(
            Whole(model), (ids[:BATCH],), path, input_names=["ids"], output_names=["best", "nll"], dynamo=True,
            external_data=True, verbose=False,
        )  # fmt: skip
    return path


def onnx_runtime(model: PreTrainedModel, ids: torch.Tensor, folder: Path) -> Callable[[], Answer]:
    """ONNX Runtime on its processor provider."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = torch.get_num_threads()
    path = exported(model, ids, folder)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return in_batches(lambda rows: tuple(session.run(None, {"ids": rows.numpy()})), ids)


def openvino(model: PreTrainedModel, ids: torch.Tensor, folder: Path, precision: str = "f32") -> Callable[[], Answer]:
    """OpenVINO on the processor; bf16 is what it takes by itself where the processor multiplies that."""
    import openvino as runtime

    core = runtime.Core()
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": precision}
    network = core.compile_model(core.read_model(exported(model, ids, folder)), "CPU", settings)
    return in_batches(lambda rows: tuple(network([rows.numpy()]).values()), ids)


def openvino_bfloat16(model: PreTrainedModel, ids: torch.Tensor, folder: Path) -> Callable[[], Answer]:
    """OpenVINO in bfloat16."""
    return openvino(model, ids, folder, "bf16")


Maker = Callable[[PreTrainedModel, torch.Tensor, Path], Callable[[], Answer]]
PEERS: dict[str, tuple[tuple[str, ...], Maker]] = {
    "torch.compile": (("torch",), compiled),
    "ONNX Runtime, float32": (("onnxruntime", "onnx", "onnxscript"), onnx_runtime),
    "OpenVINO, float32": (("openvino", "onnx", "onnxscript"), openvino),
    "OpenVINO, bfloat16": (("openvino", "onnx", "onnxscript"), openvino_bfloat16),
}


def made(model: PreTrainedModel, ids: torch.Tensor, folder: Path, left_out: list[str]) -> dict[str, Callable[[], Any]]:
    """Every way that runs here, warmed up; names of the others with the reason go to `left_out`."""
    ways: dict[str, Callable[[], Any]] = {
        OURS: ours(model, ids),
        "rarecall without oneDNN": ours(model, ids, with_onednn=False),
        "products of the weights alone, torch": weight_matmuls(model, len(ids)),
        "transformers, one forward": in_batches(Whole(model), ids),
        "transformers generate, cached": generated(model, ids),
    }
    for name, (packages, make) in PEERS.items():
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            left_out.append(f"{name} (not installed: {', '.join(missing)})")
            continue
        try:
            ways[name] = make(model, ids, folder)
            ways[name]()
        except Exception as error:  # whatever it is, the other peers are measured
            ways.pop(name, None)
            said = (str(error).strip().splitlines() or [""])[0][:120]
            left_out.append(f"{name} ({type(error).__name__}: {said})")
        print(f"ready: {name}", flush=True)
    return ways


def compared(answer: Any, reference: Answer, ids: torch.Tensor) -> list[str]:
    """Cells: rows with another exact match than ours, and the largest difference of a token's NLL."""
    if answer is None:
        return ["", ""]
    truth = ids[:, 1:].numpy()[:, PREFIX - 1 :]
    matches = [(a[0][:, PREFIX - 1 :] == truth).cumprod(1).sum(1) for a in (answer, reference)]
    differs = f"{(matches[0] != matches[1]).sum()} of {len(ids)}"
    return [differs, "" if answer[1] is None else f"{np.abs(answer[1] - reference[1]).max():.1e}"]


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU time of one call over all threads of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def table(ways: dict[str, Callable[[], Any]], ids: torch.Tensor, rounds: int) -> Iterator[str]:
    """Markdown rows: time per paragraph, ratio to ours within a round, and whether the answers are the same."""
    answers = {name: work() for name, work in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, work in ways.items():
            times[name].append(cpu_seconds(work) / len(ids) * 1e3)
        print(f"round {number + 1} of {rounds}", flush=True)
    yield "| way | CPU ms a paragraph | of ours: median (least to most) | other exact match | NLL, largest difference |"
    yield "|---|---:|---:|---:|---:|"
    for name, found in times.items():
        ratios = [theirs / mine for theirs, mine in zip(found, times[OURS], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        cells = [f"{statistics.median(found):.0f}", spread, *compared(answers[name], answers[OURS], ids)]
        yield f"| {name} | " + " | ".join(cells) + " |"


def head(options: argparse.Namespace) -> str:
    """Machine, versions, load and day."""
    names = ("transformers", "onnxruntime", "openvino")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names if importlib.util.find_spec(name)]
    shape = "a small model" if options.small else "GPT-Neo 125M's shape"
    return (
        f"# Scoring beside its peers\n\n{machine('cpu')}, {', '.join(versions)}; {options.threads} threads, load "
        f"{os.getloadavg()[0]:.1f} at the start, {date.today()}. {shape} with random weights, {options.rows} rows of "
        f"{PREFIX} + {LENGTH - PREFIX} tokens, every other one goes on as the model would for some tokens. Peers read "
        f"{BATCH} rows at a time. Written by `python -m benchmarks.peers`."
    )


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16, help=f"a multiple of {BATCH}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    output, left_out = options.output or (None if options.small else RESULTS), []
    opening = head(options)
    model = build(size_of(True).config if options.small else shaped_like_125m(), "cpu", "float32")
    ids = half_recited(model, paragraphs(options.rows, model.config.vocab_size))
    with tempfile.TemporaryDirectory() as folder:
        ways = made(model, ids, Path(folder), left_out)
        sections = [opening, "\n".join(table(ways, ids, options.rounds))]
    sections.append(f"Not measured: {'; '.join(left_out)}." if left_out else "Nothing was left out.")
    sections.append(f"Load at the end: {os.getloadavg()[0]:.1f}.")
    if output is not None:
        output.write_text("\n\n".join(sections) + "\n")
    print("\n\n".join(sections))


if __name__ == "__main__":
    main()
