"""Training curves as a picture."""

from __future__ import annotations

import pytest

from motiontok.errors import MissingDependencyError
from motiontok.evaluate import plot_curves
from motiontok.plotting import draw_series, new_figure


def test_curves_are_drawn_without_a_word(tiny_run, tmp_path, recwarn):
    pytest.importorskip("matplotlib", reason="needs: pip install 'motiontok[render]'")
    image = pytest.importorskip("PIL.Image", reason="needs: pip install 'motiontok[render]'")
    out = tmp_path / "curves.png"
    plot_curves(tiny_run / "log.csv", out, title="tiny")
    (tmp_path / "short.csv").write_text("step,mse\n0,\n")
    plot_curves(tmp_path / "short.csv", tmp_path / "short.png", title="no rows")
    with image.open(out) as picture:
        picture.load()
        assert picture.size[0] > 1000
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]


def test_what_was_logged_once_is_a_point():
    pytest.importorskip("matplotlib", reason="needs: pip install 'motiontok[render]'")
    axes = new_figure(4, 3, doing="a test").subplots()
    rows = [{"step": 50.0, "mse": 0.2}, {"step": 100.0, "mse": 0.1, "ess": 0.3}]
    draw_series(axes, rows, (("mse", "training"), ("ess", "ESS / K")), "once")
    assert [line.get_marker() for line in axes.lines] == ["None", "o"]


def test_curves_without_matplotlib_say_what_to_install(tiny_run, tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'motiontok\[render\]'"):
        plot_curves(tiny_run / "log.csv", tmp_path / "curves.png", title="tiny")
    assert not (tmp_path / "curves.png").exists()
