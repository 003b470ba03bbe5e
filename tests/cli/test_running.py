"""What all commands share: their messages."""

import logging

from evalguard.cli.running import _Formatter


def test_a_message_names_the_product_once():
    form = _Formatter("evalguard: %(levelname)s: %(message)s")
    for text in ("evalguard: the server is down", "the server is down"):
        record = logging.LogRecord("evalguard", logging.WARNING, "", 0, text, (), None)
        assert form.format(record) == "evalguard: WARNING: the server is down"
