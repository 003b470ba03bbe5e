"""Which operations of a graph keep state: what verify_model and the copies of functions rest on."""

import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from evalguard.capture.engines.graphs import draws_at_random, is_stateful, nodes_of


def operations(function, *args):
    return [node.op for node in nodes_of(tf.function(function).get_concrete_function(*args).graph.as_graph_def())]


def test_operations_are_found_in_the_functions_that_a_graph_calls():
    inner = tf.function(lambda: tf.random.normal((2,)))
    assert "RandomStandardNormal" in operations(lambda: inner() + 1)
    assert "RandomStandardNormal" in operations(
        lambda flag: tf.cond(flag, inner, lambda: tf.zeros((2,))), tf.constant(1)
    )


def test_what_draws_or_writes_is_stateful_and_what_reads_or_computes_is_not():
    assert is_stateful("RandomStandardNormal")
    assert is_stateful("AssignAddVariableOp")
    assert is_stateful("EagerPyFunc")
    assert not is_stateful("ReadVariableOp")
    assert not is_stateful("MatMul")
    assert not is_stateful("of no such name")


@pytest.mark.parametrize(
    ("function", "drawing"),
    [
        (lambda: tf.random.normal((2,)), True),
        (lambda: tf.random.shuffle(tf.range(3)), True),
        (lambda: tf.nn.dropout(tf.ones(3), 0.5), True),
        (lambda: tf.random.stateless_normal((2,), [1, 2]), False),
        (lambda: tf.zeros(2), False),
    ],
    ids=["normal", "shuffle", "dropout", "stateless", "nothing"],
)
def test_a_function_draws_at_random_if_it_keeps_the_state_of_a_generator(function, drawing):
    assert draws_at_random(tf.function(function).get_concrete_function()) is drawing


def test_tensorflow_still_has_the_definitions_of_operations_where_they_are_read():
    assert op_def_registry.get("RandomUniform").is_stateful
    assert op_def_registry.get("ReadVariableOp").is_stateful
    assert not op_def_registry.get("MatMul").is_stateful
    assert op_def_registry.get("of no such name") is None
