"""The benchmarks run: on next to nothing, for their figures are no test."""

import json

import pytest

from benchmarks import plot, soak


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [False, True])
def test_a_soak_run_looks_at_ten_points_of_its_call(guarded):
    run = soak.call(400, guarded=guarded)
    assert [point.batches for point in run.points] == [20, *range(40, 401, 40)]
    assert all(point.megabytes > 0 for point in run.points)
    assert (run.points[-1].guard_s > 0) is guarded
    assert (run.trace_mb > 0) is guarded


def test_the_plot_shows_each_figure(tmp_path):
    def row(source, proof, ratio, budget):
        return {
            "what": f"Keras 3, no-op MLP, predict, {source}, {proof}",
            "engine": "Keras 3",
            "model": "no-op MLP",
            "method": "predict",
            "source": source,
            "proof": proof,
            "ratio": ratio,
            "low": ratio - 0.01,
            "high": ratio + 0.01,
            "budget": budget,
        }

    rows = [
        row("arrays", "transport", 1.02, 1.15),
        row("arrays", "content", 1.04, None),
        row("tf.data", "labels", 1, None),
    ]
    figures, picture = tmp_path / "figures.json", tmp_path / "picture.svg"
    figures.write_text(json.dumps({"measured_on": {"keras": "3", "tensorflow": "2", "cores": 2}, "rows": rows}))
    assert plot.main([str(figures), str(picture)]) == 0
    drawn = picture.read_text()
    assert drawn.count("<circle") >= 3
    assert all(row["what"] in drawn for row in rows)
