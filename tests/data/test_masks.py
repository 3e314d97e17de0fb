from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from vaa.data.masks import ArrayMasks, OutlineMasks, boxes_at, outline, outlines
from vaa.types import Box, GroundTruth, Span


def truth(folder: Path) -> GroundTruth:
    pixels = np.zeros((30, 10, 12), np.uint8)
    for frame in range(5, 20):
        pixels[frame, 2:4, frame - 5 : frame - 2] = 255
        pixels[frame, 7, 1] = 255
    np.save(folder / "masks.npy", pixels[:, :, :12])
    return GroundTruth((Span(5, 15, "x"),), "x", masks=ArrayMasks(folder / "masks.npy"))


def test_the_outline_of_a_mask_is_the_box_around_its_pixels(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), np.bool_)
    assert outline(mask) is None
    mask[2, 3] = mask[4, 5] = True
    assert outline(mask) == (3.0, 2.0, 6.0, 5.0)
    masked = truth(tmp_path)
    assert boxes_at(masked, 10) == (Box(10, (1.0, 2.0, 8.0, 8.0), 1.0),)
    assert boxes_at(masked, 18) == ()  # no annotated frame
    assert boxes_at(GroundTruth((Span(0, 2, "x"),), "x", (Box(1, (1, 1, 2, 2), 1.0),)), 1)[0].xyxy == (1, 1, 2, 2)


def test_stored_outlines_are_those_of_the_masks(tmp_path: Path) -> None:
    masked = truth(tmp_path)
    stored = outlines(masked, 10.0)
    assert [box.frame for box in stored] == [5, 10]  # two a second
    again = GroundTruth(masked.spans, "x", masks=OutlineMasks(stored))
    assert outlines(again, 10.0) == stored
    assert boxes_at(again, 12)[0].xyxy == stored[1].xyxy
    assert outlines(GroundTruth(masked.spans, "x"), 10.0) == ()


def test_masks_that_cannot_be_read_are_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    masked = truth(tmp_path)
    (tmp_path / "masks.npy").write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING, "vaa"):
        assert outlines(masked, 10.0) == ()
    (record,) = caplog.records
    assert "masks.npy: cannot be read" in record.getMessage()
