"""The whole cpu preset: three minutes on two cores."""

from tests.book.test_train_command import check_preset


def test_the_cpu_preset_learns_the_default_data(tmp_path):
    check_preset(None, tmp_path)
