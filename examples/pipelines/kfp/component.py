"""A Kubeflow Pipelines v2 component around a step file, and a pipeline of it: ``python component.py pipeline.yaml``.

Build the image in a checkout of evalguard, and add your step file, model, data and labels::

    FROM python:3.11-slim
    WORKDIR /evalguard
    COPY . .
    RUN pip install .

Once evalguard is published, ``RUN pip install keras-evalguard`` replaces the last three lines. ``EVALGUARD_IMAGE``
names the image as the cluster pulls it.
"""

import os
import sys

from kfp import compiler, dsl

# evalguard is part of the image: a run that installs it would depend on what a package index offers that day.
IMAGE = os.environ.get("EVALGUARD_IMAGE", "evalguard:local")


@dsl.container_component
def evaluate(step: str, report: dsl.Output[dsl.HTML]) -> dsl.ContainerSpec:
    """Run a step file that the image holds; the component fails unless the verdict is PASS or REPAIRED."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=["sh", "-ec"],
        args=[
            'status=0; evalguard run "$0" --set outputs.directory=/tmp/out --progress plain || status=$?; '
            'mkdir -p "$(dirname "$1")"; cp /tmp/out/report.html "$1"; exit $status',
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
