"""``make bench-lightning``: ``Trainer.predict`` of PyTorch Lightning, with and without the indices of its batches.

Models and sizes are those of ``benchmarks.subjects``. The indices come to a
``BasePredictionWriter``, as Lightning's documentation has it: they are those
that the sampler gave to the loader. It runs in an environment without evalguard.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import nn

from benchmarks.pairs import Ratio, compare

BATCH = 32


class Predictor(lightning.LightningModule):
    """A network for ``Trainer.predict``."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Predictions of a batch."""
        del batch_idx
        return self.network(batch[0])


class Indices(BasePredictionWriter):
    """Keeps which sample each row was."""

    def __init__(self) -> None:
        super().__init__(write_interval="epoch")
        self.indices: list[int] = []

    def write_on_epoch_end(self, trainer: Any, pl_module: Any, predictions: Any, batch_indices: Any) -> None:
        """Called once, with the indices of all batches of each loader."""
        del trainer, pl_module, predictions
        self.indices = [index for loader in batch_indices for batch in loader for index in batch]


def no_op_mlp(rows: int) -> tuple[Any, Any]:
    """A network that does almost nothing, and its inputs."""
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10)), torch.rand(rows, 32)


def conv_net(rows: int) -> tuple[Any, Any]:
    """A small conv net, and its inputs."""
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64 * 14 * 14, 10),
        nn.Softmax(dim=1),
    )
    return network, torch.rand(rows, 3, 64, 64)


def measure(network: Any, x: Any, pairs: int) -> Ratio:
    """With the indices over without."""
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=BATCH)
    model, writer = Predictor(network), Indices()

    def predict(callbacks: list[Any]) -> Callable[[], object]:
        trainer = lightning.Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=callbacks,
        )
        return lambda: trainer.predict(model, loader)

    ratio = compare(predict([]), predict([writer]), pairs=pairs, warmup=min(pairs, 2))
    assert writer.indices == list(range(len(x)))
    return ratio


def main() -> int:
    """Print a line for each model, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lightning_predict", description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="alternating pairs (default 7)")
    parser.add_argument("--mlp-rows", type=int, default=20_000)
    parser.add_argument("--conv-rows", type=int, default=960)
    parser.add_argument("--json", action="store_true", help="print JSON, for python -m benchmarks")
    arguments = parser.parse_args()
    # What Lightning advises about devices and workers.
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    subjects = {"no-op MLP": no_op_mlp(arguments.mlp_rows), "conv net": conv_net(arguments.conv_rows)}
    ratios = {name: measure(*subject, arguments.pairs) for name, subject in subjects.items()}
    if arguments.json:
        print(json.dumps({name: asdict(ratio) for name, ratio in ratios.items()}))
        return 0
    print(f"Lightning {lightning.__version__}, predict with the indices of its batches over predict alone")
    for name, ratio in ratios.items():
        print(f"{name:10} {ratio.first * 1e3:7.0f}ms {ratio.ratio:7.3f} {ratio.low:6.3f}-{ratio.high:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
