"""The rendered world gives the same ground truth from each layout, and a broken copy says what is wrong with it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
from command_line import experiment
from hydra.utils import instantiate
from layouts import World, observed
from omegaconf import OmegaConf
from PIL import Image
from scipy.io import savemat

from vaa.data.avenue import MatlabMasks
from vaa.data.base import ChecksFiles, DatasetLoader
from vaa.data.frame_labels import load_labels
from vaa.errors import DataError, VideoError
from vaa.types import Dataset
from vaa.video.sources import frames

CONF = Path(__file__).parents[2] / "conf/data"
WRITERS: dict[str, Callable[[World, Path], None]] = {
    "shanghaitech": layouts.shanghaitech,
    "avenue": layouts.avenue,
    "ucsd_ped2": layouts.ucsd_ped2,
    "ubnormal_native": layouts.ubnormal,
    "lagovad": layouts.lagovad,
    "flat": layouts.flat,
    "msad": layouts.lavad,
}
FIELDS: dict[str, dict[str, Any]] = {
    "ubnormal_native": {"boxes": True},
    "lagovad": {"list": "list.json"},
    "flat": {"gt": "gt.npy", "list": "list.csv", "features": "features", "lengths": "lengths.txt", "ending": "_i3d"},
}


def loader(name: str, root: Path, **fields: Any) -> Any:
    """The loader of `data=NAME`."""
    choice = OmegaConf.load(CONF / f"{name}.yaml")
    decoder = {"decoder": "pyav"} if "decoder" in choice else {}
    config = OmegaConf.merge(choice, {"root": str(root)}, FIELDS.get(name, {}), fields, decoder)
    made = instantiate(config, _convert_="all")
    assert isinstance(made, DatasetLoader)
    assert isinstance(made, ChecksFiles)
    return made


@pytest.fixture(scope="session")
def written(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a layout's copy, which a test must not change."""
    folders: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            WRITERS[name](world, folders[name])
        return folders[name]

    return write


def copy(folder: Path, target: Path) -> None:
    shutil.copytree(folder, target, dirs_exist_ok=True)


def by_number(dataset: Dataset, world: World, name: str) -> dict[int, str]:
    """The number of the world's video -> the id that it has in the layout."""
    ids = [video.id for video in dataset.videos]
    if name == "ubnormal_native":  # abnormal videos are listed first
        ids.sort(key=lambda id_: int(id_.split("_")[-1]))
    return dict(enumerate(ids))


WITH_MASKS = ("shanghaitech", "avenue", "ucsd_ped2", "ubnormal_native")


@pytest.mark.parametrize("name", WRITERS)
def test_each_layout_gives_the_same_truth(world: World, written: Callable[[str], Path], name: str) -> None:
    data = loader(name, written(name))
    assert data.missing_files(videos=name not in ("msad",)) == ()
    dataset = data.load()
    assert not dataset.failures
    ids = by_number(dataset, world, name)
    has_classes, cut = name in ("lagovad", "flat", "msad"), 96 if name == "flat" else None
    expected = world.expected(label=None if has_classes else "Anomaly", n_frames=cut)
    seen = observed(dataset.videos, dataset.truths)
    assert {number: seen[id_] for number, id_ in ids.items()} == expected
    for number, video in enumerate(world.videos):
        truth = dataset.truths[ids[number]]
        if name in ("shanghaitech", "ubnormal_native"):
            assert truth.boxes == world.truths[video.id].boxes
        if name in WITH_MASKS and truth.spans:
            assert truth.masks is not None
            for frame in (truth.spans[0].start, truth.spans[0].stop - 1, 0, 99):
                np.testing.assert_array_equal(truth.masks.frame(frame), world.masks(video.id)[frame] > 0)


@pytest.mark.parametrize("name", ["shanghaitech", "avenue", "ucsd_ped2", "ubnormal_native", "lagovad"])
def test_the_frames_of_each_layout_are_decoded(world: World, written: Callable[[str], Path], name: str) -> None:
    dataset = loader(name, written(name)).load()
    ids = by_number(dataset, world, name)
    video = next(video for video in dataset.videos if video.id == ids[2])
    pixels = frames(video, [0, 50, 99], "pyav").astype(int)
    original = world.pixels[world.videos[2].id][[0, 50, 99]].astype(int)
    if name == "ucsd_ped2":  # grey
        original = original[..., :1]
    assert np.abs(pixels - original).mean() < 12


@pytest.mark.parametrize("name", ["avenue", "ucsd_ped2"])
def test_the_source_of_labels_is_a_choice(world: World, written: Callable[[str], Path], name: str) -> None:
    dataset = loader(name, written(name), labels="intervals").load()
    assert list(observed(dataset.videos, dataset.truths).values()) == list(world.expected().values())


def test_labels_suffice_where_no_frame_is_decoded(world: World, written: Callable[[str], Path], tmp_path: Path) -> None:
    copy(written("shanghaitech"), tmp_path)
    (tmp_path / "testing/frames").rename(tmp_path / "elsewhere")
    data = loader("shanghaitech", tmp_path)
    assert list(observed(*_parts(data.load())).values()) == list(world.expected().values())
    assert data.missing_files(videos=False) == ()
    assert "testing/frames: no such" in "".join(data.missing_files(videos=True))


def _parts(dataset: Dataset) -> tuple[Any, Any]:
    return dataset.videos, dataset.truths


@pytest.mark.parametrize("counts", ["floor", "ceil"])
def test_the_snippets_of_a_flat_ground_truth_have_to_add_up(
    written: Callable[[str], Path], counts: str, tmp_path: Path
) -> None:
    root = written("flat")
    if counts == "floor":
        assert len(loader("flat", root, counts=counts).load().videos) == 3
        return
    with pytest.raises(DataError) as error:
        loader("flat", root, counts=counts).load()
    assert "gt.npy has 288 values" in str(error.value)
    assert "21 snippets by data.counts=ceil, which are 336 values: 48 too many" in str(error.value)


def test_the_base_of_a_layout_moves_its_intervals(world: World, written: Callable[[str], Path], tmp_path: Path) -> None:
    layouts.lavad(world, tmp_path, base=1)
    dataset = loader("msad", tmp_path, base=1).load()
    assert list(observed(*_parts(dataset)).values()) == list(world.expected(label=None).values())
    assert loader("msad", tmp_path).load().truths["test_00"].spans[0].start == 32
    (tmp_path / "annotations/Temporal_Anomaly.txt").write_text("test_00 fall 0 5\n")
    with pytest.raises(DataError, match=r"Temporal_Anomaly\.txt:1: 'test_00' has an interval from 0, but data\.base=1"):
        loader("msad", tmp_path, base=1).load()


def test_msad_counts_from_one(shared: Path) -> None:
    """33,160 ones in the field's flat ground truth of 16-frame snippets; 33,671 frames as VADTree counts."""
    root = shared / "recorded/vadtree/MSAD"
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    ones = {}
    for base in (0, 1):
        dataset = loader("msad", root, base=base, texts="none.json", boxes="none.json").load()
        ones[base] = 0
        for video in dataset.videos:
            # Robbery_29 has one snippet fewer in the flat file.
            n_snippets = video.n_frames // 16 - (base == 1 and video.id == "Robbery_29")
            stop = video.n_frames if base == 0 else 16 * n_snippets
            ones[base] += sum(max(0, min(s.stop, stop) - s.start) for s in dataset.truths[video.id].spans)
    assert ones == {0: 33671, 1: 33160}


def test_c_avenue_names_the_definition_of_each_interval(
    world: World, written: Callable[[str], Path], tmp_path: Path
) -> None:
    copy(written("avenue"), tmp_path)
    (tmp_path / "c-avenue.json").write_text(json.dumps({"too_close": ["01"]}))
    (tmp_path / "c-avenue-multiple.json").write_text(json.dumps({"running-throwing": ["03"]}))
    run = experiment(["data=c_avenue"], [f"data.root={tmp_path}", "decoder=pyav"])
    dataset = run.data.load()
    assert [video.id for video in dataset.videos] == ["01", "02"]
    assert {span.label for span in dataset.truths["01"].spans} == {"too close"}
    assert (dataset.truths["02"].label, dataset.left_out) == ("Normal", 1)
    (tmp_path / "c-avenue.json").write_text(json.dumps({"too_close": ["01"], "running": ["01"]}))
    with pytest.raises(DataError, match="'01' is listed under 'too close' and 'running'"):
        run.data.load()


def _short_mask(root: Path) -> None:
    file = root / "testing/test_frame_mask/01_0002.npy"
    np.save(file, np.load(file)[:-1])


def _gap(root: Path) -> None:
    (root / "testing/frames/01_0002/040.jpg").unlink()


def _short_pixel_mask(root: Path) -> None:
    file = root / "testing/test_pixel_mask/01_0002.npy"
    np.save(file, np.load(file)[:-1])


def _not_labels(root: Path) -> None:
    np.save(root / "testing/test_frame_mask/01_0002.npy", np.full(100, 255))


def _track_past_end(root: Path) -> None:
    (root / "testing/tracks/01_0002.txt").write_text("0,100,1,1,5,5\n")


def _wrong_key(root: Path) -> None:
    savemat(root / "ground_truth_demo/testing_label_mask/3_label.mat", {"mask": np.zeros(3)})


def _no_matlab_file(root: Path) -> None:
    (root / "ground_truth_demo/testing_label_mask/3_label.mat").write_bytes(b"nothing")


def _two_masks_short(root: Path) -> None:
    cells = np.empty((1, 98), object)
    cells[0] = [np.ones((64, 64), np.uint8)] * 98
    savemat(root / "ground_truth_demo/testing_label_mask/3_label.mat", {"volLabel": cells})


def _no_masks(root: Path) -> None:
    (root / "Test/Test003_gt").rename(root / "Test/Test003_masks")


def _one_mask_less(root: Path) -> None:
    (root / "Test/Test003_gt/100.bmp").unlink()


def _damaged_mask(root: Path) -> None:
    (root / "Test/Test003_gt/020.bmp").write_bytes(b"BM")


def _no_tracks(root: Path) -> None:
    (root / "Scene2/abnormal_scene_2_scenario_2_annotations/abnormal_scene_2_scenario_2_tracks.txt").unlink()


@pytest.mark.parametrize(
    ("name", "spoil", "parts"),
    [
        ("shanghaitech", _short_mask, ("01_0002 has 100 images", "01_0002.npy labels 99 frames")),
        ("shanghaitech", _gap, ("01_0002: image 40 of 0 to 99 is missing", "data.allow_gaps=true")),
        ("shanghaitech", _short_pixel_mask, ("test_pixel_mask/01_0002.npy: expected 100 masks", "(99, 64, 64)")),
        ("shanghaitech", _not_labels, ("expected 0 and 1 only, but 100 values are others, the first 255",)),
        ("shanghaitech", _track_past_end, ("tracks/01_0002.txt: has a box on frame 100", "100 frames")),
        ("avenue", _wrong_key, ("3_label.mat: has no variable 'volLabel'; it has mask",)),
        ("avenue", _no_matlab_file, ("3_label.mat: cannot be read as a MATLAB file",)),
        ("avenue", _two_masks_short, ("03.avi has 100 frames, but", "3_label.mat labels 98")),
        ("ucsd_ped2", _no_masks, ("Test003_gt: no such folder of masks", "data.labels=intervals")),
        ("ucsd_ped2", _one_mask_less, ("Test003 has 100 images", "labels 99 frames")),
        ("ucsd_ped2", _damaged_mask, ("020.bmp: cannot be decoded as an image",)),
        ("ubnormal_native", _no_tracks, ("tracks.txt: expected lines of object_id,start,end",)),
    ],
)
def test_a_broken_video_says_what_is_wrong_and_the_others_are_read(
    written: Callable[[str], Path], tmp_path: Path, name: str, spoil: Callable[[Path], None], parts: tuple[str, ...]
) -> None:
    copy(written(name), tmp_path)
    spoil(tmp_path)
    dataset = loader(name, tmp_path).load()
    assert len(dataset.videos) == 2
    (failure,) = dataset.failures
    for part in parts:
        assert part in failure.reason


def test_a_gap_can_be_allowed(world: World, written: Callable[[str], Path], tmp_path: Path) -> None:
    copy(written("ucsd_ped2"), tmp_path)
    for name in ("Test003/040.tif", "Test003_gt/040.bmp"):
        (tmp_path / "Test" / name).unlink()
    dataset = loader("ucsd_ped2", tmp_path, allow_gaps=True).load()
    video, span = dataset.videos[2], dataset.truths["Test003"].spans[-1]
    assert (video.n_frames, span.stop) == (99, world.truths["test_02"].spans[-1].stop - 1)
    with Image.open(tmp_path / "Test/Test003/042.tif") as image:
        np.testing.assert_array_equal(frames(video, [40], "pyav")[0, :, :, 0], np.asarray(image))


def test_one_mask_too_few_is_cut_and_logged(
    world: World, written: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy(written("avenue"), tmp_path)
    cells = np.empty((1, 99), object)
    cells[0] = [*world.masks("test_02")[:99]]
    savemat(tmp_path / "ground_truth_demo/testing_label_mask/3_label.mat", {"volLabel": cells})
    with caplog.at_level(logging.WARNING, "vaa"):
        dataset = loader("avenue", tmp_path).load()
    assert (dataset.videos[2].n_frames, dataset.failures) == (99, [])
    (message,) = [record.getMessage() for record in caplog.records]
    assert "03.avi has 100 frames" in message
    assert "99" in message


def test_a_list_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(
        json.dumps([{"video_path": "a.mp4", "class_name": "fall", "anomaly_span": [[3, 9]]}])
    )
    with pytest.raises(DataError, match=r"entry 1 is not in LaGoVAD's layout.*shares of the video"):
        loader("lagovad", tmp_path).load()
    (tmp_path / "list.json").write_text(
        json.dumps([{"video_path": "a.mp4", "class_name": "fall", "anomaly_span": [[0.3, 1.002]]}])
    )
    (failure,) = loader("lagovad", tmp_path).load().failures
    assert "its length is not known" in failure.reason
    (tmp_path / "lengths.txt").write_text("a 0 99 0\n")
    (video,), truths = _parts(loader("lagovad", tmp_path, lengths="lengths.txt").load())
    assert (video.n_frames, truths["a"].spans[0].start, truths["a"].spans[0].stop) == (100, 30, 100)


def test_damaged_arrays_are_refused_by_name(tmp_path: Path) -> None:
    cells = np.empty((1, 4), object)
    cells[0] = [np.eye(5, dtype=np.uint8)] * 4
    savemat(tmp_path / "masks.mat", {"volLabel": cells}, do_compression=True)
    np.save(tmp_path / "labels.npy", np.ones(9, np.uint8))
    random = np.random.default_rng(0)
    for name, read in (("masks.mat", lambda file: MatlabMasks(file).labels()), ("labels.npy", load_labels)):
        whole = np.fromfile(tmp_path / name, np.uint8)
        for k in range(60):
            spoilt, file = whole.copy(), tmp_path / f"{k}_{name}"
            places = random.integers(len(whole), size=3)
            spoilt[places] = random.integers(256, size=3)
            spoilt[: len(whole) - k].tofile(file)
            try:
                read(file)
            except VideoError as error:
                assert file.name in str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "msad"])
def test_an_empty_folder_says_what_is_expected_in_it(tmp_path: Path, name: str) -> None:
    data = loader(name, tmp_path)
    with pytest.raises(DataError) as error:
        data.load()
    assert "Expected under data.root=" in str(error.value)
    assert data.missing_files(videos=True)
