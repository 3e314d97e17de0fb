"""`python -m vaa.data.inspect`: what a data set has, and what is wrong with it, by name."""

from __future__ import annotations

from pathlib import Path

import layouts
import numpy as np
import pytest
from layouts import World

from vaa.data.inspect import main


def test_a_whole_data_set_and_a_broken_one(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layouts.shanghaitech(world, tmp_path)
    command = ["shanghaitech", f"data.root={tmp_path}"]
    assert main(command) == 0
    text = capsys.readouterr().out
    n_abnormal = int(sum(world.labels(video.id).sum() for video in world.videos))
    assert "data     shanghaitech: 3 videos\n" in text
    assert "frames   300 (0.00 h)" in text
    assert "files    3 of 3 videos have one" in text
    assert f"labels   {n_abnormal} of 300 frames are abnormal" in text
    assert f"boxes    {n_abnormal} on {n_abnormal} frames of 2 videos, 2 tracks" in text
    assert "masks    of 3 videos" in text
    assert "!" not in text

    np.save(tmp_path / "testing/test_pixel_mask/01_0000.npy", np.ones((100, 32, 48), np.uint8))
    np.save(tmp_path / "testing/test_frame_mask/01_0001.npy", np.zeros(98))
    (tmp_path / "testing/frames/01_0002").rename(tmp_path / "moved")
    assert main(command) == 1
    text = capsys.readouterr().out
    assert "!        1 videos have no file: 01_0002\n" in text
    assert "the mask of frame 31 is of 48 x 32 pixels, the frame of 64 x 64" in text
    assert "frame 30 is normal, but has abnormal pixels in its mask" in text
    assert "1 videos cannot be used:" in text
    assert "01_0001 has 100 images" in text


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["avenue", f"data.root={tmp_path}"]) == 1
    assert f"! {tmp_path}/ground_truth_demo/testing_label_mask: no such file" in capsys.readouterr().out
    assert main(["avenu"]) == 2
    assert "Did you mean data=avenue?" in capsys.readouterr().err


def test_lengths_of_files_are_checked(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layouts.lavad(world, tmp_path)
    (tmp_path / "videos").symlink_to(world.videos[0].path.parent)
    index = tmp_path / "annotations/test.txt"
    index.write_text(index.read_text().replace("test_00 0 99", "test_00 0 79"))
    assert main(["msad", f"data.root={tmp_path}"]) == 1
    text = capsys.readouterr().out
    assert "1 videos have another length than the data set lists: test_00 (80 listed, 100 in the file)" in text
    assert "have spans past their end, which are cut: test_00 (stop 90, 80 frames)" in text
