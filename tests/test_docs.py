"""What the page on tokens shows has to work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bvh import procedural

ROOT = Path(__file__).resolve().parents[1]
TOKENS = (ROOT / "docs" / "tokens.md").read_text(encoding="utf-8")


def test_the_examples_of_the_page_on_tokens_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # What the page takes for granted: a motion, and a policy of the reader's own.
    names = {
        "motion": procedural.make("walk", seconds=4.2, seed=5),
        "my_policy": lambda pose, codes: [0] * 64,
    }
    blocks = re.findall(r"```python\n(.*?)```", TOKENS, flags=re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "codes.npy").is_file()
    # The stream as it is shown loses nothing: all windows of the 126 frames are decoded.
    window = names["tokenizer"].frames_per_window
    frames = sum(len(piece) for piece in names["pieces"])
    assert frames == -(-len(names["motion"]) // window) * window


def test_importing_the_package_loads_neither_torch_nor_numpy() -> None:
    program = (
        "import sys, motiontok; print([n for n in ('torch', 'numpy') if n in sys.modules]); "
        "print([n for n in motiontok.__all__ if n not in dir(motiontok)]); "
        "from motiontok import Start; print(Start(1.0, 0.0, 0.5).yaw)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:3] == ["[]", "[]", "0.5"]


def test_names_of_the_package_are_there_and_found_by_tab_completion() -> None:
    import motiontok
    from motiontok.codes import Codes

    assert motiontok.Codes is Codes
    for name in motiontok.__all__:
        assert name in dir(motiontok)
        assert getattr(motiontok, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Tokenizer'"):
        _ = motiontok.Tokenizer


def test_pages_say_how_many_frames_the_default_holds_back() -> None:
    from motiontok import MotionTokenizer

    tokenizer = MotionTokenizer.from_pretrained("default")
    held = tokenizer.stream_decoder().look_ahead
    for page in (TOKENS, (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")):
        assert f"last {held} frames of" in page
        assert f"{held / tokenizer.fps:.2f} s" in page
