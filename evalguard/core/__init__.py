"""The judgement: pure functions of plain data, numpy and the standard library only."""
