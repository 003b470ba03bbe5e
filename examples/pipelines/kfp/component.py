"""A Kubeflow Pipelines v2 component around a step file, and a pipeline of it: ``python component.py pipeline.yaml``."""

import sys

from kfp import compiler, dsl


@dsl.container_component
def evaluate(step: str, report: dsl.Output[dsl.HTML]) -> dsl.ContainerSpec:
    """Run a step file that the image holds; the component fails unless the verdict is PASS or REPAIRED."""
    return dsl.ContainerSpec(
        image="python:3.11-slim",
        command=["sh", "-ec"],
        args=[
            'pip install -q evalguard; status=0; evalguard run "$0" --set outputs.directory=/tmp/out '
            '--progress plain || status=$?; mkdir -p "$(dirname "$1")"; cp /tmp/out/report.html "$1"; exit $status',
            step,
            report.path,
        ],
    )


@dsl.pipeline(name="evalguard-digits")
def digits(step: str = "/work/step.yaml") -> None:
    """One evaluation."""
    evaluate(step=step).set_caching_options(enable_caching=False)


if __name__ == "__main__":
    compiler.Compiler().compile(digits, sys.argv[1])
