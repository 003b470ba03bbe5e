"""Models are kept apart also where one gets the `id` of another that was freed."""

from evalguard.guards.model_numbers import number_of


class Model:
    pass


def test_models_made_one_after_the_other_have_different_numbers():
    numbers = set()
    for _ in range(20):
        model = Model()
        numbers.add(number_of(model))
        assert number_of(model) in numbers
        del model
    assert len(numbers) == 20
